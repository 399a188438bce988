//! What a statement costs before and beside its rows: parsing, the template that plans are kept under, and a point query whose
//! plan is known, with the allocations of each.
//!
//! Run by `make bench-sql`. `bench/sql.py` reads what criterion measured and the lines `allocations: …` that this prints.

#![allow(missing_docs)] // `criterion_group!` makes a public function without words.

mod allocations;
mod session;

use criterion::{Criterion, criterion_group, criterion_main};
use sql::lexer::{ParseMode, digest};
use sql::parser::parse_one;
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// The least that a client asks.
const TRIVIAL: &str = "SELECT 1";
/// A row by its key.
pub(crate) const POINT: &str = "SELECT c FROM t WHERE id = 42";
/// A report of thirty lines.
const REPORT: &str = "SELECT o.region,
       p.district,
       p.name AS person,
       COUNT(*) AS offences,
       SUM(o.damage) AS damage,
       AVG(o.damage) AS mean_damage,
       MIN(o.committed) AS first_one,
       MAX(o.committed) AS last_one,
       CASE WHEN SUM(o.damage) > 10000 THEN 'high'
            WHEN SUM(o.damage) > 1000 THEN 'middle'
            ELSE 'low' END AS class
FROM offence AS o
JOIN person AS p
  ON p.person_id = o.person_id
 AND p.valid_to IS NULL
LEFT JOIN vehicle AS v
  ON v.owner = p.person_id
 AND v.registered BETWEEN '2020-01-01' AND '2024-12-31'
LEFT JOIN district AS d
  ON d.id = p.district
WHERE o.kind IN ('theft', 'burglary', 'robbery', 'fraud')
  AND o.committed >= '2023-01-01'
  AND o.committed < '2024-01-01'
  AND (p.name LIKE 'A%' OR p.name LIKE 'B%')
  AND EXISTS (SELECT 1 FROM sighting AS s
              WHERE s.person_id = p.person_id
                AND s.seen > o.committed)
GROUP BY o.region, p.district, p.name
HAVING COUNT(*) > 1
ORDER BY damage DESC, person
LIMIT 100";

fn parsing(c: &mut Criterion) {
    let mode = ParseMode::default();
    let mut group = c.benchmark_group("sql_parse");
    for (name, text) in [("trivial", TRIVIAL), ("point", POINT), ("report", REPORT)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| parse_one(black_box(text), &mode).0.expect("a statement"));
        });
        let parsed = allocations::during(|| parse_one(text, &mode).0.expect("a statement"));
        println!("allocations: parse {name}: {parsed}");
    }
    group.finish();
    c.bench_function("sql_template/point", |bencher| {
        bencher.iter(|| digest::template(black_box(POINT), &mode).expect("a template"));
    });
}

criterion_group!(benches, parsing, session::point_queries);
criterion_main!(benches);
