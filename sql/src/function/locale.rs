//! How places write months, days and numbers: `lc_time_names` and the locale of FORMAT.
//!
//! A choice of MySQL's locales; another name is unknown (1649). STR_TO_DATE reads English names alone, as in MySQL.

/// A locale.
#[derive(Debug, PartialEq, Eq)]
pub struct Locale {
    /// `de_DE`.
    pub name: &'static str,
    /// Months, from January on.
    pub months: [&'static str; 12],
    /// Their short names.
    pub short_months: [&'static str; 12],
    /// Days, from Monday on.
    pub days: [&'static str; 7],
    /// Their short names.
    pub short_days: [&'static str; 7],
    /// What stands before the fraction of a number.
    pub point: char,
    /// What stands between thousands, if anything.
    pub separator: Option<char>,
}

const ENGLISH: Locale = Locale {
    name: "en_US",
    months: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    short_months: [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ],
    days: ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    short_days: ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    point: '.',
    separator: Some(','),
};

/// What Spanish names are, wherever it is spoken.
const SPANISH: Locale = Locale {
    name: "es_ES",
    months: [
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ],
    short_months: [
        "ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sep", "oct", "nov", "dic",
    ],
    days: ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"],
    short_days: ["lun", "mar", "mié", "jue", "vie", "sáb", "dom"],
    point: ',',
    separator: None,
};

const CHINESE: Locale = Locale {
    name: "zh_CN",
    months: [
        "一月",
        "二月",
        "三月",
        "四月",
        "五月",
        "六月",
        "七月",
        "八月",
        "九月",
        "十月",
        "十一月",
        "十二月",
    ],
    short_months: [
        " 1月", " 2月", " 3月", " 4月", " 5月", " 6月", " 7月", " 8月", " 9月", "10月", "11月",
        "12月",
    ],
    days: ["星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"],
    short_days: ["一", "二", "三", "四", "五", "六", "日"],
    point: '.',
    separator: Some(','),
};

/// All of them, by name but for English.
static LOCALES: [Locale; NAMES.len()] = [
    ENGLISH,
    Locale {
        name: "de_DE",
        months: [
            "Januar",
            "Februar",
            "März",
            "April",
            "Mai",
            "Juni",
            "Juli",
            "August",
            "September",
            "Oktober",
            "November",
            "Dezember",
        ],
        short_months: [
            "Jan", "Feb", "Mär", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez",
        ],
        days: ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"],
        short_days: ["Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"],
        point: ',',
        separator: Some('.'),
    },
    Locale { name: "en_GB", ..ENGLISH },
    SPANISH,
    Locale { name: "es_MX", point: '.', separator: Some(','), ..SPANISH },
    Locale {
        name: "fr_FR",
        months: [
            "janvier",
            "février",
            "mars",
            "avril",
            "mai",
            "juin",
            "juillet",
            "août",
            "septembre",
            "octobre",
            "novembre",
            "décembre",
        ],
        short_months: [
            "jan", "fév", "mar", "avr", "mai", "jun", "jui", "aoû", "sep", "oct", "nov", "déc",
        ],
        days: ["lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"],
        short_days: ["lun", "mar", "mer", "jeu", "ven", "sam", "dim"],
        point: ',',
        separator: None,
    },
    Locale {
        name: "it_IT",
        months: [
            "gennaio",
            "febbraio",
            "marzo",
            "aprile",
            "maggio",
            "giugno",
            "luglio",
            "agosto",
            "settembre",
            "ottobre",
            "novembre",
            "dicembre",
        ],
        short_months: [
            "gen", "feb", "mar", "apr", "mag", "giu", "lug", "ago", "set", "ott", "nov", "dic",
        ],
        days: ["lunedì", "martedì", "mercoledì", "giovedì", "venerdì", "sabato", "domenica"],
        short_days: ["lun", "mar", "mer", "gio", "ven", "sab", "dom"],
        point: ',',
        separator: None,
    },
    Locale {
        name: "ja_JP",
        months: [
            "1月", "2月", "3月", "4月", "5月", "6月", "7月", "8月", "9月", "10月", "11月", "12月",
        ],
        days: ["月曜日", "火曜日", "水曜日", "木曜日", "金曜日", "土曜日", "日曜日"],
        short_days: ["月", "火", "水", "木", "金", "土", "日"],
        ..CHINESE
    },
    CHINESE,
];

/// What `lc_time_names` takes.
pub const NAMES: [&str; 9] =
    ["en_US", "de_DE", "en_GB", "es_ES", "es_MX", "fr_FR", "it_IT", "ja_JP", "zh_CN"];

/// `en_US`, which is everybody's until another one is asked for.
pub fn english() -> &'static Locale {
    &LOCALES[0]
}

/// The locale of this name, in any case.
pub fn find(name: &str) -> Option<&'static Locale> {
    LOCALES.iter().find(|locale| locale.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_locales() {
        assert_eq!(LOCALES.each_ref().map(|locale| locale.name), NAMES);
        assert_eq!(find("DE_de").unwrap().days[0], "Montag");
        assert_eq!(find("de"), None);
    }
}
