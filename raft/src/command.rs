//! Commands that are `raft`'s own: they stand in the log beside the state machine's, told apart by their
//! first byte.
//!
//! ```text
//! ff 'C' id 8 BE     compare: every replica computes the digest of its content at exactly this entry
//! ff 'S' …           split: every replica makes the child's replica at exactly this entry (`split`)
//! anything else      the state machine's; it never begins with ff
//! ```

use crate::split::SplitCommand;
use bytes::Bytes;

/// First byte of `raft`'s own commands. No command of a state machine begins with it.
pub const OWN_TAG: u8 = 0xff;
/// Second byte of a comparison.
const COMPARE: u8 = b'C';
/// Second byte of a split.
const SPLIT: u8 = b'S';

/// A command of `raft` itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnCommand {
    /// Compute the digest of the content as of this entry.
    Compare {
        /// Tells this comparison from any other.
        id: u64,
    },
    /// Make the child's replica of the content as of this entry.
    Split(SplitCommand),
}

impl OwnCommand {
    /// The command's bytes.
    pub fn encode(&self) -> Bytes {
        let mut bytes = vec![OWN_TAG];
        match self {
            OwnCommand::Compare { id } => {
                bytes.push(COMPARE);
                bytes.extend_from_slice(&id.to_be_bytes());
            }
            OwnCommand::Split(split) => {
                bytes.push(SPLIT);
                split.put(&mut bytes);
            }
        }
        bytes.into()
    }

    /// Whether bytes from the log are a split: what stands before it is written before it is applied.
    pub fn is_split(bytes: &[u8]) -> bool {
        matches!(bytes, [OWN_TAG, SPLIT, ..])
    }

    /// The command in bytes from the log; `None` when it is the state machine's.
    ///
    /// # Errors
    /// A sentence, when it is `raft`'s own but not known to this program.
    pub fn decode(bytes: &Bytes) -> Result<Option<OwnCommand>, String> {
        match &bytes[..] {
            [OWN_TAG, COMPARE, id @ ..] => {
                let id = <[u8; 8]>::try_from(id)
                    .map_err(|_| "a comparison without a whole id".to_string())?;
                Ok(Some(OwnCommand::Compare { id: u64::from_be_bytes(id) }))
            }
            [OWN_TAG, SPLIT, ..] => {
                SplitCommand::take(bytes.slice(2..)).map(|split| Some(OwnCommand::Split(split)))
            }
            [OWN_TAG, ..] => Err("a command of a newer program; run that program".to_string()),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_commands_round_trip_and_others_are_left_alone() {
        let compare = OwnCommand::Compare { id: 0x0102_0304_0506_0708 };
        let bytes = compare.encode();
        assert_eq!(OwnCommand::decode(&bytes), Ok(Some(compare)));
        assert!(!OwnCommand::is_split(&bytes));
        assert!(OwnCommand::decode(&bytes.slice(..5)).is_err());
        assert_eq!(OwnCommand::decode(&Bytes::new()), Ok(None));
        assert_eq!(OwnCommand::decode(&Bytes::from_static(&[1, 0xff])), Ok(None));
        assert!(OwnCommand::decode(&Bytes::from_static(&[OWN_TAG, b'?'])).is_err());
    }
}
