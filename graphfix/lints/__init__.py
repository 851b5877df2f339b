"""Read-only rules, one file each: codes that are never reused, names that state the smell, and the pass that mends it.

`BUILT_IN` lists them; packages offer more through the entry-point group ``graphfix.lints``.
"""

from __future__ import annotations

from graphfix.lints.base import Lint, LintContext
from graphfix.lints.gf001_opset_too_low_for_type import OpsetTooLowForType
from graphfix.lints.gf002_attribute_newer_than_opset import AttributeNewerThanOpset
from graphfix.lints.gf003_operator_not_in_opset import OperatorNotInOpset
from graphfix.lints.gf004_untyped_trt_output import UntypedTrtOutput
from graphfix.lints.gf005_wrongly_typed_trt_output import WronglyTypedTrtOutput
from graphfix.lints.gf006_unregistered_trt_operator import UnregisteredTrtOperator
from graphfix.lints.gf007_qdq_in_trt_domain import QdqInTrtDomain
from graphfix.lints.gf008_missing_domain_import import MissingDomainImport
from graphfix.lints.gf009_duplicate_domain_import import DuplicateDomainImport
from graphfix.lints.gf010_initializer_as_input import InitializerAsInput
from graphfix.lints.gf011_ir_older_than_opset import IrOlderThanOpset
from graphfix.lints.gf012_ir_newer_than_runtime import IrNewerThanRuntime
from graphfix.lints.gf013_opset_newer_than_runtime import OpsetNewerThanRuntime
from graphfix.lints.gf014_type_not_on_target import TypeNotOnTarget
from graphfix.lints.gf015_dynamic_blocked_axis import DynamicBlockedAxis
from graphfix.lints.gf016_block_does_not_divide import BlockDoesNotDivide
from graphfix.lints.gf017_fp4_rank import Fp4Rank
from graphfix.lints.gf018_nonzero_zero_point import NonzeroZeroPoint
from graphfix.lints.gf019_scale_not_positive import ScaleNotPositive
from graphfix.lints.gf020_scale_not_finite import ScaleNotFinite
from graphfix.lints.gf021_mixed_element_types import MixedElementTypes
from graphfix.lints.gf022_wrongly_declared_type import WronglyDeclaredType
from graphfix.lints.gf023_output_type_mismatch import OutputTypeMismatch
from graphfix.lints.gf024_external_data_missing import ExternalDataMissing
from graphfix.lints.gf025_external_data_too_short import ExternalDataTooShort
from graphfix.lints.gf026_external_data_overlaps import ExternalDataOverlaps
from graphfix.lints.gf027_external_data_orphaned import ExternalDataOrphaned
from graphfix.lints.gf028_external_data_outside_folder import ExternalDataOutsideFolder
from graphfix.lints.gf029_external_data_is_link import ExternalDataIsLink
from graphfix.lints.gf030_modelopt_046_weights import Modelopt046Weights
from graphfix.lints.gf031_frozen_token_count import FrozenTokenCount
from graphfix.lints.gf032_bfloat16_interface import Bfloat16Interface
from graphfix.lints.gf033_broken_graph import BrokenGraph
from graphfix.lints.gf034_trt_operand_type import TrtOperandType
from graphfix.lints.gf035_shapes_not_inferred import ShapesNotInferred
from graphfix.lints.gf036_mismatched_blocks import MismatchedBlocks
from graphfix.lints.gf037_type_on_no_target import TypeOnNoTarget

BUILT_IN: tuple[type[Lint], ...] = (
    OpsetTooLowForType,
    AttributeNewerThanOpset,
    OperatorNotInOpset,
    UntypedTrtOutput,
    WronglyTypedTrtOutput,
    UnregisteredTrtOperator,
    QdqInTrtDomain,
    MissingDomainImport,
    DuplicateDomainImport,
    InitializerAsInput,
    IrOlderThanOpset,
    IrNewerThanRuntime,
    OpsetNewerThanRuntime,
    TypeNotOnTarget,
    DynamicBlockedAxis,
    BlockDoesNotDivide,
    Fp4Rank,
    NonzeroZeroPoint,
    ScaleNotPositive,
    ScaleNotFinite,
    MixedElementTypes,
    WronglyDeclaredType,
    OutputTypeMismatch,
    ExternalDataMissing,
    ExternalDataTooShort,
    ExternalDataOverlaps,
    ExternalDataOrphaned,
    ExternalDataOutsideFolder,
    ExternalDataIsLink,
    Modelopt046Weights,
    FrozenTokenCount,
    Bfloat16Interface,
    BrokenGraph,
    TrtOperandType,
    ShapesNotInferred,
    MismatchedBlocks,
    TypeOnNoTarget,
)

__all__ = ["BUILT_IN", "Lint", "LintContext"]
