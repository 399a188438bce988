//! Names of the XA transactions that sessions of this node are in, so that no two use one name.

use crate::ast::Xid;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A name: as for MySQL, the format id does not count.
type Name = (Vec<u8>, Vec<u8>);

/// The names in use.
#[derive(Debug, Default)]
pub(crate) struct ReservedXids(Mutex<BTreeSet<Name>>);

/// A name in use; free when this is dropped.
pub(super) struct ReservedXid {
    /// All of them.
    all: Arc<ReservedXids>,
    /// This one.
    name: Name,
}

impl ReservedXids {
    /// Takes a name; `None` when another session has it.
    pub(super) fn reserve(self: &Arc<Self>, xid: &Xid) -> Option<ReservedXid> {
        let name = (xid.gtrid.clone(), xid.bqual.clone());
        let free = self.0.lock().insert(name.clone());
        free.then(|| ReservedXid { all: self.clone(), name })
    }
}

impl Drop for ReservedXid {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.name);
    }
}
