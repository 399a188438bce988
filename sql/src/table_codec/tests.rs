//! Entries that carry columns, byte for byte.

use super::*;
use crate::catalog::IndexColumn;
use crate::collation::CollationId;
use base::Timestamp;

fn column(name: &str, ty: SqlType, ordinal: usize) -> ColumnDef {
    ColumnDef {
        name: name.into(),
        ty,
        default: None,
        auto_increment: false,
        on_update_now: false,
        zerofill: false,
        comment: String::new(),
        hidden: false,
        type_text: String::new(),
        collation_declared: false,
        ordinal,
        absent: None,
        former: None,
        generated: None,
        invisible: false,
    }
}

fn index(id: u32, unique: bool, column: usize, included: &[usize]) -> IndexDef {
    IndexDef {
        id: IndexId(id),
        name: format!("i{id}"),
        unique,
        columns: vec![IndexColumn { column, prefix: None, descending: false }],
        included: included.to_vec(),
        global: false,
        primary: id == 0,
        implicit: false,
        comment: String::new(),
        state: IndexState::Public,
        public_since: Timestamp::ZERO,
        ignored: false,
    }
}

/// `(id INT PRIMARY KEY, name VARCHAR(10), age INT, KEY (name) INCLUDE (age), UNIQUE KEY (age) INCLUDE (name), KEY (name))`
fn table() -> TableDef {
    TableDef {
        id: TableId(1000),
        rows: TableId(1000),
        database: "d".into(),
        name: "t".into(),
        columns: vec![
            column("id", SqlType::int().not_null(), 0),
            column("name", SqlType::varchar(10, CollationId::DEFAULT), 1),
            column("age", SqlType::int(), 2),
        ],
        next_ordinal: 3,
        indexes: vec![
            index(0, true, 0, &[]),
            index(1, false, 1, &[2]),
            index(2, true, 2, &[1]),
            index(3, false, 1, &[]),
        ],
        unpublished: Vec::new(),
        declared: Vec::new(),
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        next_index_id: 0,
        index_version: 0,
        sharding: Sharding::Hash(vec![0]),
        sharding_declared: false,
        distributed_by: false,
        partitioning: None,
        collation: CollationId::DEFAULT,
        comment: String::new(),
        auto_increment_start: 0,
        created_unix: 0,
        options: String::new(),
        retention_s: 0,
        placement: String::new(),
        rebuild: None,
    }
}

fn row(age: Value) -> Vec<Value> {
    vec![Value::Int(7), Value::text("Ab"), age]
}

#[test]
fn carried_bytes_never_change() {
    let table = table();
    // name, age, id; then nothing, for the key ends with the primary key.
    let entry = index_entry(&table, 1, &row(Value::Null)).unwrap();
    let carried = b"\x01\x00\x03\x00\x02\x02\x00\x02\x00\x03\x00Ab\x07";
    assert_eq!(entry.value[4..8], 14_u32.to_be_bytes());
    assert_eq!(entry.value[8..], carried[..]);
    // age, name, id; then the primary key.
    let entry = index_entry(&table, 2, &row(Value::Int(5))).unwrap();
    let carried = b"\x01\x00\x03\x00\x00\x01\x00\x03\x00\x04\x00\x05Ab\x07";
    let primary = b"\x01\x80\x00\x00\x00\x00\x00\x00\x07";
    assert_eq!(entry.value[..2], [0, 0]);
    assert_eq!(entry.value[4..8], 15_u32.to_be_bytes());
    assert_eq!(entry.value[8..], [carried.as_slice(), primary.as_slice()].concat());
    // An index without INCLUDE has only the place.
    assert_eq!(index_entry(&table, 3, &row(Value::Null)).unwrap().value.len(), PLACE_BYTES);
}

#[test]
fn an_entry_gives_its_row_back() {
    let table = table();
    for age in [Value::Null, Value::Int(-3)] {
        let row = row(age);
        for position in [1, 2] {
            let index = &table.indexes[position];
            let entry = index_entry(&table, position, &row).unwrap();
            let key = row_key_from_index_entry(&table, index, &entry.key, &entry.value).unwrap();
            assert_eq!(key, row_key(&table, &row).unwrap());
            let places = carried_places(&table, index);
            let carried = carried_row(&table, index, &places, &entry.value).unwrap();
            assert_eq!(decode_all(&table, &carried).unwrap(), row);
            for end in 0..PLACE_BYTES + CARRIED_LENGTH_BYTES + 4 {
                assert!(carried_row(&table, index, &places, &entry.value[..end]).is_err());
            }
        }
    }
}

#[test]
fn columns_keep_their_places() {
    let mut table = table();
    let old = vec![Value::Int(1), Value::Text("10".into()), Value::Int(7)];
    let before = encode_row(&table, &old).unwrap();
    // `name` becomes a number, `age` goes, `new` comes first.
    let mut name = column("name", SqlType::int(), 3);
    name.former = Some(Box::new(table.columns[1].clone()));
    let mut new = column("new", SqlType::int(), 4);
    new.absent = Some(Value::Int(5));
    table.columns = vec![new, table.columns[0].clone(), name];
    table.next_ordinal = 5;
    let row = vec![Value::Int(5), Value::Int(1), Value::Int(10)];
    assert_eq!(decode_all(&table, &before).unwrap(), row);
    let after = encode_row(&table, &row).unwrap();
    assert_eq!(decode_all(&table, &after).unwrap(), row);
    assert_eq!(RowReader::new(&after).unwrap().columns(), 5);
}
