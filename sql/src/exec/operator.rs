//! What our own operators have in common: bounded, batches as they come, one partition unless they say otherwise.

use super::error::wrap;
use crate::Result;
use crate::types::SqlType;
use arrow::array::ArrayRef;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion_execution::SendableRecordBatchStream;
use datafusion_physical_expr::EquivalenceProperties;
use datafusion_physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{
    ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::Stream;
use futures::TryStreamExt;
use std::sync::Arc;

/// A schema of these types. Columns are named by their position; every one may be NULL, because an
/// outer join or an aggregate above must not have to say it again.
pub fn schema_of(types: &[SqlType]) -> SchemaRef {
    let fields: Vec<Field> = types
        .iter()
        .enumerate()
        .map(|(i, ty)| Field::new(format!("c{i}"), ty.arrow(), true))
        .collect();
    Arc::new(Schema::new(fields))
}

/// The properties of an operator with this output.
pub fn properties(schema: SchemaRef) -> Arc<PlanProperties> {
    divided_properties(schema, 1)
}

/// The same with so many partitions.
pub fn divided_properties(schema: SchemaRef, partitions: usize) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

/// The properties of an operator that gives the rows of its input in their order and partitions.
pub fn properties_of(input: &Arc<dyn ExecutionPlan>) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        input.equivalence_properties().clone(),
        input.output_partitioning().clone(),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

/// A stream of ours as DataFusion's.
pub fn stream(
    schema: SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(schema, batches.map_err(wrap)))
}

/// A batch of these columns; it may have rows without any column.
pub fn batch(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns, &options)
        .map_err(|error| crate::Error::internal(format!("batch of an operator: {error}")))
}

/// Implements what every operator of ours answers the same way. `$children` are its inputs, `$rebuild`
/// makes it anew over other inputs, `$execute` starts one of its partitions.
macro_rules! operator {
    ($type:ident, $name:literal, |$this:ident| $children:expr, |$self:ident, $inputs:ident| $rebuild:expr, execute $execute:ident) => {
        impl datafusion_physical_plan::DisplayAs for $type {
            fn fmt_as(
                &self,
                _: datafusion_physical_plan::DisplayFormatType,
                f: &mut std::fmt::Formatter<'_>,
            ) -> std::fmt::Result {
                f.write_str(&self.describe())
            }
        }

        impl datafusion_physical_plan::ExecutionPlan for $type {
            fn name(&self) -> &str {
                $name
            }

            fn properties(&self) -> &std::sync::Arc<datafusion_physical_plan::PlanProperties> {
                &self.properties
            }

            fn children(
                &self,
            ) -> Vec<&std::sync::Arc<dyn datafusion_physical_plan::ExecutionPlan>> {
                let $this = self;
                $children
            }

            fn apply_expressions(
                &self,
                _: &mut dyn FnMut(
                    &std::sync::Arc<dyn datafusion_physical_expr::PhysicalExpr>,
                ) -> datafusion_common::Result<
                    datafusion_common::tree_node::TreeNodeRecursion,
                >,
            ) -> datafusion_common::Result<datafusion_common::tree_node::TreeNodeRecursion> {
                Ok(datafusion_common::tree_node::TreeNodeRecursion::Continue)
            }

            fn with_new_children(
                self: std::sync::Arc<Self>,
                $inputs: Vec<std::sync::Arc<dyn datafusion_physical_plan::ExecutionPlan>>,
            ) -> datafusion_common::Result<
                std::sync::Arc<dyn datafusion_physical_plan::ExecutionPlan>,
            > {
                let $self = self;
                $rebuild
            }

            fn execute(
                &self,
                partition: usize,
                task: std::sync::Arc<datafusion_execution::TaskContext>,
            ) -> datafusion_common::Result<datafusion_execution::SendableRecordBatchStream> {
                self.$execute(partition, task)
            }
        }
    };
}

pub(crate) use operator;
