//! Errors on their way through DataFusion and back.
//!
//! Ours travel as `DataFusionError::External`; what DataFusion itself reports becomes a MySQL error
//! that says what happened.

use crate::Error;
use datafusion_common::DataFusionError;

/// Packs an error of ours for DataFusion.
pub fn wrap(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// What the client gets for an error that came out of an operator.
pub fn unwrap(error: DataFusionError) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        if let Some(ours) = current.downcast_ref::<Error>() {
            return ours.clone();
        }
        if let Some(DataFusionError::External(inner)) = current.downcast_ref::<DataFusionError>()
            && let Some(ours) = inner.downcast_ref::<Error>()
        {
            return ours.clone();
        }
        if let Some(arrow::error::ArrowError::ExternalError(inner)) =
            current.downcast_ref::<arrow::error::ArrowError>()
            && let Some(ours) = inner.downcast_ref::<Error>()
        {
            return ours.clone();
        }
        if let Some(io) = current.downcast_ref::<std::io::Error>() {
            return match io.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                    Error::disk_full("temporary files of a query")
                }
                _ => Error::storage(format!("temporary file of a query: {io}")),
            };
        }
        cause = current.source();
    }
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => out_of_memory(),
        root => Error::internal(format!("query operator: {root}")),
    }
}

/// The error of a query that needs more memory than it may have.
pub fn out_of_memory() -> Error {
    Error::out_of_memory(format!(
        "its operators need more than {} MiB; read fewer rows or columns, or join over an index",
        base::limits::QUERY_BYTES_MAX >> 20
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn an_error_of_ours_survives_any_wrapping() {
        let ours = Error::division_by_zero();
        let wrapped = DataFusionError::Context(
            "while sorting".into(),
            Box::new(DataFusionError::Shared(Arc::new(wrap(ours.clone())))),
        );
        assert_eq!(unwrap(wrapped), ours);
    }

    #[test]
    fn exhausted_memory_is_1038() {
        assert_eq!(unwrap(DataFusionError::ResourcesExhausted("x".into())).code, 1038);
    }
}
