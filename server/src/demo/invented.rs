//! Invented persons, vehicles and officers that join with the street crimes.
//!
//! Everything comes from one seed, so each demo shows the same people. No record can describe a living
//! person: identity numbers use region 990000, which no authority issues, with a valid check character;
//! each record says that it is invented. A few districts and owners are hot, as in life.

use base::Rng;
use std::fmt::Write;

/// Seed of the shipped sample.
pub const SEED: u64 = 20_180_701;
/// Invented persons.
pub const PERSONS: usize = 5000;
/// Invented vehicles.
pub const VEHICLES: usize = 3000;
/// Invented officers.
pub const OFFICERS: usize = 200;

/// Tab-separated rows, ready for LOAD DATA.
pub struct Invented {
    /// identity_number, name, sex, birth_date, lsoa_code, phone, note
    pub persons: String,
    /// plate, owner, vin, make, colour, registered, note
    pub vehicles: String,
    /// officer_number, name, unit, rank_title, beat_lsoa_code, note
    pub officers: String,
}

const NOTE: &str = "invented";
const FAMILY: [(&str, &str); 12] = [
    ("王", "Wang"),
    ("李", "Li"),
    ("张", "Zhang"),
    ("刘", "Liu"),
    ("陈", "Chan"),
    ("黄", "Wong"),
    ("林", "Lam"),
    ("何", "Ho"),
    ("Silva", "Silva"),
    ("Smith", "Smith"),
    ("Ahmed", "Ahmed"),
    ("Jones", "Jones"),
];
const GIVEN: [(&str, &str); 12] = [
    ("伟", "Wei"),
    ("芳", "Fang"),
    ("娜", "Na"),
    ("敏", "Min"),
    ("静", "Jing"),
    ("丽", "Li"),
    ("强", "Qiang"),
    ("磊", "Lei"),
    ("Ana", "Ana"),
    ("James", "James"),
    ("Amira", "Amira"),
    ("Tom", "Tom"),
];
const MAKES: [&str; 6] = ["BYD", "Ford", "Geely", "Toyota", "Vauxhall", "Volkswagen"];
const COLOURS: [&str; 6] = ["black", "blue", "grey", "red", "silver", "white"];
const UNITS: [&str; 5] = ["patrol", "traffic", "investigation", "forensics", "border"];
const RANKS: [&str; 4] = ["constable", "sergeant", "inspector", "superintendent"];

/// Invents everything; `lsoa_codes` are the areas of the street crimes.
pub fn invent(seed: u64, lsoa_codes: &[String]) -> Invented {
    let mut rng = Rng::seeded(seed);
    let mut persons = String::new();
    let mut identities = Vec::with_capacity(PERSONS);
    for number in 0..PERSONS {
        let (year, month, day) = (1940 + rng.below(66), 1 + rng.below(12), 1 + rng.below(28));
        // The sequence's last digit is odd for men, even for women; region, day and sequence
        // together are unique because the region's last two digits count full rounds.
        let female = rng.chance(0.5);
        let sequence = (number as u64 % 499) * 2 + u64::from(!female);
        let region = 990_000 + number as u64 / 499;
        let identity =
            identity_number(&format!("{region}{year:04}{month:02}{day:02}{sequence:03}"));
        let sex = if female { "F" } else { "M" };
        let (name, area) = (name(&mut rng), skewed(&mut rng, lsoa_codes));
        let phone = format!("+000 {:04} {:04}", rng.below(10_000), rng.below(10_000));
        let _ = writeln!(
            persons,
            "{identity}\t{name}\t{sex}\t{year:04}-{month:02}-{day:02}\t{area}\t{phone}\t{NOTE}"
        );
        identities.push(identity);
    }
    let mut vehicles = String::new();
    for number in 0..VEHICLES {
        let plate = format!("ZZ{:02} {}", number % 100, letters(number / 100));
        let owner = skewed(&mut rng, &identities);
        let vin = vehicle_number(&mut rng, number);
        let (make, colour) = (pick(&mut rng, &MAKES), pick(&mut rng, &COLOURS));
        let registered = format!(
            "{:04}-{:02}-{:02}",
            2005 + rng.below(14),
            1 + rng.below(12),
            1 + rng.below(28)
        );
        let _ =
            writeln!(vehicles, "{plate}\t{owner}\t{vin}\t{make}\t{colour}\t{registered}\t{NOTE}");
    }
    let mut officers = String::new();
    for number in 0..OFFICERS {
        let badge = officer_number(number as u64 + 1);
        let (name, unit) = (name(&mut rng), pick(&mut rng, &UNITS));
        let rank = RANKS[(rng.unit() * rng.unit() * 4.0) as usize % 4];
        let beat = skewed(&mut rng, lsoa_codes);
        let _ = writeln!(officers, "{badge}\t{name}\t{unit}\t{rank}\t{beat}\t{NOTE}");
    }
    Invented { persons, vehicles, officers }
}

/// Completes 17 digits of an identity number with its check character
/// (GB 11643-1999, ISO 7064 MOD 11-2).
pub fn identity_number(digits: &str) -> String {
    let sum: u32 = digits
        .bytes()
        .zip([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2])
        .map(|(digit, weight)| u32::from(digit - b'0') * weight)
        .sum();
    let check = b"10X98765432"[(sum % 11) as usize] as char;
    format!("{digits}{check}")
}

/// A 17-character vehicle identification number with its check digit (49 CFR 565.15).
fn vehicle_number(rng: &mut Rng, number: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPRSTUVWXYZ0123456789";
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let mut vin: Vec<u8> = b"ZZZ".to_vec();
    vin.extend((0..8).map(|_| ALPHABET[rng.below(ALPHABET.len() as u64) as usize]));
    vin.extend(format!("{number:06}").bytes());
    let sum: u32 =
        vin.iter().zip(WEIGHTS).map(|(byte, weight)| transliterate(*byte) * weight).sum();
    vin[8] = b"0123456789X"[(sum % 11) as usize];
    String::from_utf8_lossy(&vin).into_owned()
}

fn transliterate(byte: u8) -> u32 {
    match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        b'A'..=b'H' => u32::from(byte - b'A') + 1,
        b'J'..=b'R' => u32::from(byte - b'J') + 1,
        _ => u32::from(byte - b'S') + 2,
    }
}

/// A badge number: five digits and a Luhn check digit (ISO/IEC 7812-1, annex B).
fn officer_number(number: u64) -> String {
    let digits = format!("{number:05}");
    let sum: u64 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u64::from(digit - b'0') * if place % 2 == 0 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

fn name(rng: &mut Rng) -> String {
    let family = FAMILY[rng.below(FAMILY.len() as u64) as usize];
    let given = GIVEN[rng.below(GIVEN.len() as u64) as usize];
    if family.0.is_ascii() || given.0.is_ascii() {
        format!("{} {}", given.1, family.1)
    } else {
        format!("{}{}", family.0, given.0)
    }
}

fn letters(number: usize) -> String {
    (0..3).map(|place| (b'A' + (number / 26usize.pow(place) % 26) as u8) as char).collect()
}

fn pick<'a>(rng: &mut Rng, items: &[&'a str]) -> &'a str {
    items[rng.below(items.len() as u64) as usize]
}

/// Picks early items far more often than late ones.
fn skewed(rng: &mut Rng, items: &[String]) -> String {
    let place = (rng.unit() * rng.unit() * items.len() as f64) as usize;
    items.get(place).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn areas() -> Vec<String> {
        (0..100).map(|area| format!("E0{area:07}")).collect()
    }

    #[test]
    fn the_published_example_of_an_identity_number_checks() {
        // The worked example of GB 11643-1999.
        assert_eq!(identity_number("11010519491231002"), "11010519491231002X");
    }

    #[test]
    fn equal_seeds_invent_equal_people() {
        assert_eq!(invent(1, &areas()).persons, invent(1, &areas()).persons);
        assert_ne!(invent(1, &areas()).persons, invent(2, &areas()).persons);
    }

    #[test]
    fn keys_are_unique() {
        let invented = invent(SEED, &areas());
        for (rows, count) in [
            (&invented.persons, PERSONS),
            (&invented.vehicles, VEHICLES),
            (&invented.officers, OFFICERS),
        ] {
            let keys: BTreeSet<&str> =
                rows.lines().filter_map(|line| line.split('\t').next()).collect();
            assert_eq!(keys.len(), count);
        }
    }
}
