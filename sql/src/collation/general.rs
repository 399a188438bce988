//! `utf8mb4_general_ci`: one weight per character, its upper case without accents.
//!
//! The table is made by `sql/tools/make_general_ci.py`, which tells the rule. Data: Unicode, Inc.,
//! under the Unicode License v3, see `sql/NOTICE`.

use std::sync::LazyLock;

static BYTES: &[u8] = include_bytes!("general_ci.bin");

/// What all characters beyond the Basic Multilingual Plane weigh.
const SUPPLEMENTARY: u16 = 0xfffd;

/// Weights of the first 65,536 code points.
static WEIGHTS: LazyLock<Vec<u16>> = LazyLock::new(|| {
    let mut weights: Vec<u16> = (0..=u16::MAX).collect();
    for pair in BYTES.chunks_exact(4) {
        let point = u16::from_le_bytes([pair[0], pair[1]]);
        weights[usize::from(point)] = u16::from_le_bytes([pair[2], pair[3]]);
    }
    weights
});

/// The weight of a character.
pub fn weight(c: char) -> u16 {
    WEIGHTS.get(c as usize).copied().unwrap_or(SUPPLEMENTARY)
}

/// The weights of a text, one per character.
pub fn weights_of(text: &str) -> impl DoubleEndedIterator<Item = u16> + Clone + '_ {
    text.chars().map(weight)
}

/// Appends the weight key.
pub fn put_weights(text: &str, out: &mut Vec<u8>) {
    super::put_padded(weights_of(text), true, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_weights() {
        // As WEIGHT_STRING() of MySQL and MariaDB shows them.
        for (c, wanted) in [('a', 0x41), ('ß', 0x53), ('é', 0x45), ('й', 0x0419), ('ы', 0x042b)]
        {
            assert_eq!(weight(c), wanted, "{c}");
        }
        assert_eq!(weight('😀'), weight('😁'), "all supplementary characters are equal");
    }
}
