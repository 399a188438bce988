//! MySQL's aggregates for DataFusion's hash aggregation.
//!
//! ```text
//! COUNT  i64                    SUM, AVG of integers and decimals  i256 at the argument's scale, count
//! MIN, MAX, FIRST  one value    SUM, AVG of doubles                f64, count
//! DISTINCT  a set of comparison keys with their values, folded when the group ends
//! BIT_AND, BIT_OR, BIT_XOR  64 bits     STDDEV, VARIANCE  count, mean, squares (Welford; Chan for merging)
//! GROUP_CONCAT  pieces with their sort keys
//! ```
//!
//! The state that a spilled group writes is one byte string: `state` and `Group::read` are the only
//! readers, it never outlives its query.
//!
//! Not here: types of results (`types::agg_type`), grouping by weights (`build`).

mod group;
mod state;

use super::error::wrap;
use crate::context::EvalContext;
use crate::planner::plan::{Aggregate, AggregateFunction};
use crate::types::{SqlType, array_value, values_to_array};
use crate::value::Value;
use crate::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray};
use arrow::datatypes::{
    DataType, Decimal256Type, Field, FieldRef, Float64Type, Int64Type, UInt64Type, i256,
};
use datafusion_common::ScalarValue;
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use group::Group;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The DataFusion function that computes an aggregate over arguments of these types.
pub fn aggregate_function(
    aggregate: &Aggregate,
    args: Vec<SqlType>,
    ctx: &Arc<EvalContext>,
) -> Result<AggregateUDF> {
    let function = Function {
        spec: Arc::new(Spec {
            function: aggregate.function.clone(),
            distinct: aggregate.distinct,
            args,
            ty: aggregate.ty,
            ctx: ctx.clone(),
        }),
        signature: Signature::variadic_any(Volatility::Volatile),
    };
    Ok(AggregateUDF::new_from_impl(function))
}

/// What is computed.
#[derive(Debug)]
pub(super) struct Spec {
    pub function: AggregateFunction,
    pub distinct: bool,
    /// Types of the arguments; none for COUNT(*).
    pub args: Vec<SqlType>,
    /// Type of the result.
    pub ty: SqlType,
    pub ctx: Arc<EvalContext>,
}

/// An aggregate as DataFusion knows it.
#[derive(Debug)]
struct Function {
    spec: Arc<Spec>,
    signature: Signature,
}

impl PartialEq for Function {
    fn eq(&self, other: &Function) -> bool {
        Arc::ptr_eq(&self.spec, &other.spec)
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.spec).hash(state);
    }
}

impl AggregateUDFImpl for Function {
    fn name(&self) -> &str {
        // Names that DataFusion attaches no meaning to.
        match self.spec.function {
            AggregateFunction::Count => "mysql_count",
            AggregateFunction::Sum => "mysql_sum",
            AggregateFunction::Avg => "mysql_avg",
            AggregateFunction::Min => "mysql_min",
            AggregateFunction::Max => "mysql_max",
            AggregateFunction::First => "mysql_first",
            AggregateFunction::BitAnd => "mysql_bit_and",
            AggregateFunction::BitOr => "mysql_bit_or",
            AggregateFunction::BitXor => "mysql_bit_xor",
            AggregateFunction::Deviation { .. } => "mysql_deviation",
            AggregateFunction::Json { object: false } => "mysql_json_arrayagg",
            AggregateFunction::Json { object: true } => "mysql_json_objectagg",
            AggregateFunction::GroupConcat { .. } => "mysql_group_concat",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> datafusion_common::Result<DataType> {
        Ok(self.spec.ty.arrow())
    }

    fn coerce_types(&self, types: &[DataType]) -> datafusion_common::Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn order_sensitivity(&self) -> datafusion_expr::utils::AggregateOrderSensitivity {
        datafusion_expr::utils::AggregateOrderSensitivity::Insensitive
    }

    fn state_fields(&self, args: StateFieldsArgs) -> datafusion_common::Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[state]", args.name), DataType::Binary, true))])
    }

    fn accumulator(&self, _: AccumulatorArgs) -> datafusion_common::Result<Box<dyn Accumulator>> {
        Ok(Box::new(Single(Groups::new(self.spec.clone()))))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        _: AccumulatorArgs,
    ) -> datafusion_common::Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(self.spec.clone())))
    }
}

/// An aggregate that tells its value as rows come: that of a window's frame.
pub(super) struct Running {
    spec: Spec,
    group: Group,
}

impl Running {
    /// An aggregate of arguments with these types.
    pub(super) fn new(
        function: AggregateFunction,
        args: Vec<SqlType>,
        ty: SqlType,
        ctx: &Arc<EvalContext>,
    ) -> Running {
        let spec = Spec { function, distinct: false, args, ty, ctx: ctx.clone() };
        let group = Group::new(&spec);
        Running { spec, group }
    }

    /// A row more; COUNT(*) has no arguments.
    pub(super) fn add(&mut self, args: &[Value]) -> Result<()> {
        self.group.add_row(args, &self.spec).map(drop)
    }

    /// The value so far.
    pub(super) fn value(&self) -> Result<Value> {
        self.group.clone().finish(&self.spec)
    }
}

/// The states of all groups.
#[derive(Debug)]
struct Groups {
    spec: Arc<Spec>,
    groups: Vec<Group>,
    /// Bytes that groups hold outside of themselves.
    heap_bytes: usize,
}

impl Groups {
    fn new(spec: Arc<Spec>) -> Groups {
        Groups { spec, groups: Vec::new(), heap_bytes: 0 }
    }

    fn resize(&mut self, count: usize) {
        let spec = &self.spec;
        if self.groups.len() < count {
            self.groups.resize_with(count, || Group::new(spec));
        }
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        group_of: &dyn Fn(usize) -> usize,
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let rows = values.first().map_or(0, |array| array.len());
        let passes =
            |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let first = &values[0];
        let plain = !self.spec.distinct && self.spec.args.len() <= 1;
        let function = &self.spec.function;
        if plain && *function == AggregateFunction::Count {
            let nulls = first.logical_nulls();
            for row in 0..rows {
                if passes(row) && nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                    self.groups[group_of(row)].count(1);
                }
            }
            return Ok(());
        }
        let is_sum = matches!(function, AggregateFunction::Sum | AggregateFunction::Avg);
        if plain && is_sum {
            macro_rules! sum {
                ($array:expr, $add:ident, $value:expr) => {{
                    let array = $array;
                    for row in 0..rows {
                        if array.is_valid(row) && passes(row) {
                            self.groups[group_of(row)].$add($value(array.value(row)))?;
                        }
                    }
                }};
            }
            match first.data_type() {
                DataType::Int64 => sum!(first.as_primitive::<Int64Type>(), add_small, i128::from),
                DataType::UInt64 => sum!(first.as_primitive::<UInt64Type>(), add_small, i128::from),
                DataType::Decimal256(..) => {
                    sum!(first.as_primitive::<Decimal256Type>(), add_exact, |value: i256| value);
                }
                DataType::Float64 => {
                    sum!(first.as_primitive::<Float64Type>(), add_double, |value: f64| value);
                }
                other => return Err(Error::internal(format!("SUM over {other}"))),
            }
            return Ok(());
        }
        let spec = self.spec.clone();
        let mut row_values: Vec<Value> = Vec::with_capacity(values.len());
        for row in 0..rows {
            if !passes(row) {
                continue;
            }
            let group = &mut self.groups[group_of(row)];
            if group.is_settled() {
                continue;
            }
            row_values.clear();
            for (array, ty) in values.iter().zip(&spec.args) {
                row_values.push(array_value(array, row, ty));
            }
            self.heap_bytes += group.add_row(&row_values, &spec)?;
        }
        Ok(())
    }

    fn take(&mut self, emit: EmitTo) -> Vec<Group> {
        let groups = emit.take_needed(&mut self.groups);
        if self.groups.is_empty() {
            self.heap_bytes = 0;
        }
        groups
    }

    fn results(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let spec = self.spec.clone();
        let values = self
            .take(emit)
            .into_iter()
            .map(|group| group.finish(&spec))
            .collect::<Result<Vec<Value>>>()?;
        values_to_array(&spec.ty, &values)
    }

    fn states(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let spec = self.spec.clone();
        let states: Vec<Vec<u8>> = self.take(emit).iter().map(|group| group.write(&spec)).collect();
        Ok(Arc::new(BinaryArray::from_iter_values(states)))
    }

    fn merge(&mut self, states: &ArrayRef, group_of: &dyn Fn(usize) -> usize) -> Result<()> {
        let states = states.as_binary::<i32>();
        for row in 0..states.len() {
            if states.is_valid(row) {
                let other = Group::read(states.value(row), &self.spec)?;
                self.heap_bytes += self.groups[group_of(row)].merge(other, &self.spec)?;
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Group>() + self.heap_bytes
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> datafusion_common::Result<()> {
        self.resize(total_num_groups);
        self.update(values, &|row| group_indices[row], opt_filter).map_err(wrap)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> datafusion_common::Result<ArrayRef> {
        self.results(emit_to).map_err(wrap)
    }

    fn state(&mut self, emit_to: EmitTo) -> datafusion_common::Result<Vec<ArrayRef>> {
        self.states(emit_to).map(|states| vec![states]).map_err(wrap)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> datafusion_common::Result<()> {
        self.resize(total_num_groups);
        self.merge(&values[0], &|row| group_indices[row]).map_err(wrap)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> datafusion_common::Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |array| array.len());
        let mut each = Groups::new(self.spec.clone());
        each.resize(rows);
        each.update(values, &|row| row, opt_filter).map_err(wrap)?;
        each.states(EmitTo::All).map(|states| vec![states]).map_err(wrap)
    }

    fn size(&self) -> usize {
        self.bytes()
    }
}

/// The one group of an aggregation without GROUP BY.
#[derive(Debug)]
struct Single(Groups);

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> datafusion_common::Result<()> {
        self.0.resize(1);
        self.0.update(values, &|_| 0, None).map_err(wrap)
    }

    fn evaluate(&mut self) -> datafusion_common::Result<ScalarValue> {
        self.0.resize(1);
        let results = self.0.results(EmitTo::All).map_err(wrap)?;
        ScalarValue::try_from_array(&results, 0)
    }

    fn size(&self) -> usize {
        self.0.bytes()
    }

    fn state(&mut self) -> datafusion_common::Result<Vec<ScalarValue>> {
        self.0.resize(1);
        let states = self.0.states(EmitTo::All).map_err(wrap)?;
        Ok(vec![ScalarValue::try_from_array(&states, 0)?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> datafusion_common::Result<()> {
        self.0.resize(1);
        self.0.merge(&states[0], &|_| 0).map_err(wrap)
    }
}
