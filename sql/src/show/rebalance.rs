//! How the cluster evens nodes out: SHOW REBALANCE [PLAN], ALTER REBALANCE, ALTER SHARD … MOVE REPLICA.

use super::{Listing, number_column, text, text_column};
use crate::ast::RebalanceAction;
use crate::session::{Outcome, Session};
use crate::value::Value;
use crate::{Error, Result};
use base::{NodeId, ShardId};

/// SHOW REBALANCE: one row.
pub(super) fn standing(session: &Session) -> Listing {
    let rows = session.instance.config.cluster.rebalance().into_iter().map(|row| {
        vec![
            text(row.state),
            Value::UInt(u64::from(row.moves_at_once)),
            Value::UInt(u64::from(row.moves_under_way)),
            Value::UInt(row.replicas_left),
            Value::UInt(row.leaders_left),
            text(if row.auto_merge { "on" } else { "off" }),
            text(row.why),
        ]
    });
    let columns = vec![
        text_column("State", 16),
        number_column("Moves_at_once"),
        number_column("Moves_under_way"),
        number_column("Replicas_left"),
        number_column("Leaders_left"),
        text_column("Auto_merge", 3),
        text_column("Why", 1024),
    ];
    Listing { columns, rows: rows.collect() }
}

/// SHOW REBALANCE PLAN: a row per step, and per shard that stays where it is for now.
pub(super) fn plan(session: &Session) -> Listing {
    let node = |node: Option<NodeId>| node.map_or(Value::Null, |node| Value::UInt(node.0));
    let rows = session.instance.config.cluster.rebalance_plan().into_iter().map(|row| {
        vec![text(row.what), Value::UInt(row.shard.0), node(row.from), node(row.to), text(row.why)]
    });
    let columns = vec![
        text_column("What", 16),
        number_column("Shard"),
        number_column("From"),
        number_column("To"),
        text_column("Why", 1024),
    ];
    Listing { columns, rows: rows.collect() }
}

/// ALTER REBALANCE: how it stands afterwards.
pub(crate) async fn alter(session: &mut Session, action: RebalanceAction) -> Result<Outcome> {
    let cluster = session.instance.config.cluster.clone();
    cluster.alter_rebalance(action).await.map_err(Error::cluster_refuses)?;
    let listing = standing(session);
    Ok(Outcome::rows(listing.columns, listing.rows))
}

/// ALTER SHARD … MOVE REPLICA: a row with what was begun.
pub(crate) async fn move_replica(
    session: &mut Session,
    shard: u64,
    from: u64,
    to: u64,
) -> Result<Outcome> {
    let cluster = session.instance.config.cluster.clone();
    let begun = cluster.move_replica(ShardId(shard), NodeId(from), NodeId(to)).await;
    begun.map_err(Error::cluster_refuses)?;
    let columns = vec![number_column("Shard"), number_column("From"), number_column("To")];
    Ok(Outcome::rows(columns, vec![vec![Value::UInt(shard), Value::UInt(from), Value::UInt(to)]]))
}
