"""place: what it checks, what it mends, what it refuses, and that undo brings back every byte."""

import json

import numpy as np
import onnx
import pytest

import graphfix
from graphfix import io
from graphfix.io.lock import only_writer
from graphfix.place import place, undo
from graphfix.place.headers import outputs
from tests.passes.test_rotary import freeze

QUANTIZED = [
    ("sd3", "sd3_nvfp4_20"),
    ("sd3", "sd3_int8_20"),
    ("sd3", "sd3_mxfp8_20"),
    ("flux", "flux_fp8_20"),
    ("flux", "flux_nvfp4mha_20"),
    ("sdxl", "sdxl_fp8_20"),
]


def levels(done):
    """The checks that had something to say."""
    return {(v.check, v.level) for v in done.verdicts if v.level != "ok"}


def says(done):
    return "\n".join(f"{v.level}: {v.found}. {v.why}. {v.hint}" for v in done.verdicts)


@pytest.mark.parametrize(("kind", "name"), QUANTIZED)
def test_a_fixed_export_is_placed_and_undone_to_the_byte(pipeline, fixed, bytes_of, kind, name):
    folder, backbone = pipeline(kind), fixed(name)
    before, given = bytes_of(folder), bytes_of(backbone.parent)
    done = place(backbone, folder)
    assert done.action == "placed", says(done)
    here = folder / done.component
    onnx.checker.check_model(here / "model.onnx")
    assert [v.name for v in outputs(here / "model.onnx")] == [{"sd3": "sample", "flux": "out_hidden_states", "sdxl": "out_sample"}[kind]]
    after = bytes_of(folder)
    kept = {path: sha for path, sha in before.items() if not path.endswith("/model.onnx")}
    assert kept.items() <= after.items()
    assert after[f"{done.component}/model.replaced.onnx"] == before[f"{done.component}/model.onnx"]
    assert undo(folder).action == "undone"
    assert bytes_of(folder) == before
    assert bytes_of(backbone.parent) == given


def test_what_the_backbone_computes_stays_what_it_was(pipeline, exports, run_on_cpu):
    export = exports["sd3_int8_20"]
    done = place(export.path, pipeline("sd3"))
    assert done.passes == "io-types{sample=FLOAT}"
    placed = run_on_cpu(export, done.root / "transformer" / "model.onnx")
    assert placed.dtype == np.float32
    np.testing.assert_array_equal(placed, run_on_cpu(export, export.path).astype(np.float32))


def test_the_three_traps_of_a_flux_export_are_mended_and_the_provenance_says_so(pipeline, exports, tmp_path):
    frozen, count = freeze(exports["flux_fp8_20"].path)
    passes = "opset23,init-inputs,exporter-casts,fp4-qdq,trt-types,annotations,opset-imports"  # trtrtx without rotary
    backbone = graphfix.apply(frozen, passes).save(tmp_path / "frozen.onnx").path
    assert count
    done = place(backbone, pipeline("flux"))
    assert levels(done) == {
        ("types", "repaired"),
        ("output", "repaired"),
        ("output axes", "repaired"),
        ("tokens", "repaired"),
        ("fixed sizes", "warning"),
    }
    assert done.arguments == {"max_sequence_length": 32}
    placed = io.load(done.root / "transformer" / "model.onnx")
    assert placed.graph.outputs[0].shape == placed.graph.inputs[0].shape
    assert io.read_provenance(placed)[-1]["passes"] == [
        "rotary",
        "io-types{latent=FLOAT}",
        "io{like=hidden_states,latent=out_hidden_states}",
    ]


def test_an_sd3_output_is_never_called_what_io_binding_writes_over_the_latents(pipeline, fixed):
    backbone = fixed("sd3_nvfp4_20", "io{sample=out_hidden_states}")
    done = place(backbone, pipeline("sd3", "float16"))
    assert done.passes == "io{out_hidden_states=sample}"
    assert "without guidance" in says(done)


def edit(path, change):
    """Let ``change`` edit the header at ``path``."""
    model = onnx.load(path, load_external_data=False)
    change(model.graph)
    path.write_bytes(model.SerializeToString())
    return path


def rename_input(graph):
    graph.input[2].name = "pooled"
    for node in graph.node:
        node.input[:] = ["pooled" if name == "pooled_projections" else name for name in node.input]


def bake_input(graph):
    graph.input.pop(2)
    graph.initializer.append(onnx.helper.make_tensor("pooled_projections", 10, [1, 64], np.zeros(64, np.float16)))


def ignore_input(graph):
    rename_input(graph)
    graph.initializer.append(onnx.helper.make_tensor("pooled", 10, [1, 64], np.zeros(64, np.float16)))
    graph.input[2].name = "pooled_projections"


def one_more_input(graph):
    graph.input.append(onnx.helper.make_tensor_value_info("guidance", 10, ["batch_size"]))


def fix_batches_apart(graph):
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    graph.input[3].type.tensor_type.shape.dim[0].dim_value = 7


def odd_output(graph):
    graph.output[0].type.tensor_type.shape.dim.pop()


REFUSED = {
    "renamed": (rename_input, "inputs", "graphfix apply --passes io{pooled=pooled_projections}"),
    "baked in": (bake_input, "inputs", "no input 'pooled_projections'. the pipeline's value would be ignored without a word"),
    "ignored": (ignore_input, "inputs", "nothing in the backbone reads its input 'pooled_projections'"),
    "one more": (one_more_input, "inputs", "wants an input 'guidance' more"),
    "batches": (fix_batches_apart, "fixed sizes", "hidden_states 2, timestep 7"),
    "rank": (odd_output, "output axes", "the output has shape [batch_size,16,height]"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_would_fail_or_lie_is_refused_and_nothing_is_written(pipeline, fixed, bytes_of, fault):
    change, check, text = REFUSED[fault]
    folder, backbone = pipeline("sd3"), edit(fixed("sd3_nvfp4_20", "symbolic-dims"), change)
    before = bytes_of(folder)
    done = place(backbone, folder)
    assert done.action == "refused"
    assert (check, "refused") in levels(done)
    assert text in says(done)
    assert bytes_of(folder) == before


def test_another_models_backbone_is_refused_by_its_sizes_and_by_config_json(pipeline, fixed):
    folder = pipeline("sd3")
    done = place(fixed("sd3_int4awq_20"), folder)  # a larger SD3
    assert "axis 2 of encoder_hidden_states is 128, and 64 in the model it replaces" in says(done)
    config = folder / "transformer" / "config.json"
    config.write_text(config.read_text().replace('"joint_attention_dim": 64', '"joint_attention_dim": 128'))
    done = place(fixed("sd3_int8_20"), folder)
    assert "config.json says joint_attention_dim 128, and the backbone's encoder_hidden_states takes 64" in says(done)
    assert "hidden_states has shape" in says(place(fixed("flux_fp8_20"), folder))


def test_an_export_that_no_runtime_loads_yet_is_refused(pipeline, exports):
    done = place(exports["sd3_nvfp4_20"].path, pipeline("sd3"))
    assert levels(done) >= {("lints", "refused")}
    assert "graphfix apply BACKBONE, and place the result" in says(done)


def test_a_bfloat16_interface_gets_the_pipelines_type(pipeline, fixed):
    backbone = fixed("sd3_int8_20", "io-types{hidden_states=BFLOAT16,sample=BFLOAT16}")
    done = place(backbone, pipeline("sd3", "float16"))
    assert done.passes == "io-types{hidden_states=FLOAT16,sample=FLOAT16}"
    assert done.action == "placed"


FIXED = {
    "static-shapes{batch_size=2,steps=2}": "call it with guidance and num_images_per_prompt=1",
    "static-shapes{batch_size=1,steps=1}": "call it with guidance_scale=1.0 and 1 picture(s)",
    "static-shapes{sequence_length=333}": "call it with max_sequence_length=256",
    "static-shapes{height=128,width=96}": "call it with width=768",
}


@pytest.mark.parametrize("passes", FIXED)
def test_a_fixed_size_is_told_with_the_call_that_fits_it(pipeline, fixed, passes):
    done = place(fixed("sd3_int8_20", passes), pipeline("sd3"), dry_run=True)
    assert levels(done) >= {("fixed sizes", "warning")}
    assert FIXED[passes] in says(done)


def test_fixed_sizes_that_no_call_fits_are_refused(pipeline, fixed):
    assert "the pipeline always feeds 77" in says(place(fixed("sdxl_fp8_20", "static-shapes{sequence_length=64}"), pipeline("sdxl")))
    assert "those of T5" in says(place(fixed("sd3_int8_20", "static-shapes{sequence_length=77}"), pipeline("sd3")))


def test_fixed_image_tokens_are_told_in_pixels(pipeline, fixed):
    done = place(fixed("flux_fp8_20", "static-shapes{latent_dim=4096}"), pipeline("flux"), dry_run=True)
    assert "call it with height=1024, width=1024" in says(done)


def test_a_second_backbone_replaces_the_first_and_undo_still_goes_to_the_export(pipeline, fixed, bytes_of):
    folder = pipeline("sd3")
    before = bytes_of(folder)
    first = place(fixed("sd3_int8_20"), folder)
    second = place(fixed("sd3_nvfp4_20"), folder)
    assert second.action == "placed"
    assert set(first.files) & set(second.files) == {"model.onnx"}
    assert not (folder / "transformer" / first.files[1]).exists()
    undo(folder)
    assert bytes_of(folder) == before


def test_what_is_there_already_is_left_alone(pipeline, fixed, bytes_of):
    folder, backbone = pipeline("sd3"), fixed("sd3_int8_20")
    assert undo(folder).action == "unchanged"
    place(backbone, folder)
    before = bytes_of(folder)
    assert place(backbone, folder).action == "unchanged"
    assert place(folder / "transformer" / "model.onnx", folder).action == "unchanged"
    assert bytes_of(folder) == before
    undo(folder)
    assert undo(folder).action == "unchanged"


@pytest.mark.parametrize("name", ["sd3_int8_20", "sd3_nvfp4_20"])
def test_what_is_there_already_is_not_copied_again(pipeline, fixed, monkeypatch, name):
    folder, backbone = pipeline("sd3"), fixed(name)
    place(backbone, folder)
    monkeypatch.setattr("graphfix.io.save", None)
    assert place(backbone, folder).action == "unchanged"


def test_the_folders_own_model_can_be_placed_to_mend_its_output(pipeline, bytes_of):
    folder = pipeline("sd3")
    before = bytes_of(folder)
    done = place(folder / "transformer" / "model.onnx", folder)
    assert (done.action, done.passes) == ("placed", "io{out_hidden_states=sample}")
    undo(folder)
    assert bytes_of(folder) == before


def test_other_work_in_the_folder_does_not_take_away_what_undo_needs(pipeline, fixed, bytes_of):
    folder = pipeline("sd3")
    before, here = bytes_of(folder), folder / "transformer"
    place(fixed("sd3_int8_20"), folder)
    graphfix.apply(here / "model.onnx", "symbolic-dims").save(here / "model.onnx")
    assert (here / "model.onnx_data").exists()
    with pytest.raises(graphfix.GraphfixError, match="is not what was placed there"):
        undo(folder)
    with pytest.raises(graphfix.GraphfixError, match=r"move model\.onnx away"):
        place(fixed("sd3_nvfp4_20"), folder)
    (here / "model.onnx").rename(folder / "mine.onnx")
    assert undo(folder).action == "undone"
    (folder / "mine.onnx").unlink()
    assert bytes_of(folder) == before


@pytest.mark.parametrize(("lost", "message"), [("model.replaced.onnx", "is gone"), ("model.onnx_data", "external data is missing")])
def test_undo_refuses_where_it_could_not_bring_back_the_same_bytes(pipeline, fixed, bytes_of, lost, message):
    folder = pipeline("sd3")
    place(fixed("sd3_int8_20"), folder)
    (folder / "transformer" / lost).unlink()
    before = bytes_of(folder)
    with pytest.raises(graphfix.GraphfixError, match=message):
        undo(folder)
    assert bytes_of(folder) == before


def test_undo_notices_that_what_was_kept_is_another_model_now(pipeline, fixed):
    folder = pipeline("sd3")
    place(fixed("sd3_int8_20"), folder)
    (folder / "transformer" / "model.replaced.onnx").write_bytes(fixed("sd3_nvfp4_20").read_bytes())
    with pytest.raises(graphfix.GraphfixError, match="was changed since it was kept"):
        undo(folder)


def test_a_strangers_file_is_not_taken_for_what_was_kept(pipeline, fixed, bytes_of):
    folder = pipeline("sd3")
    (folder / "transformer" / "model.replaced.onnx").write_text("precious")
    before = bytes_of(folder)
    with pytest.raises(graphfix.GraphfixError, match="is in the way"):
        place(fixed("sd3_int8_20"), folder)
    assert bytes_of(folder) == before


def test_two_runs_at_once_do_not_meet(pipeline, fixed):
    folder, backbone = pipeline("sd3"), fixed("sd3_int8_20")
    with only_writer(folder / "transformer"), pytest.raises(graphfix.UnavailableError, match="another graphfix is writing"):
        place(backbone, folder)
    assert place(backbone, folder).action == "placed"


def test_outputs_are_read_without_the_weights(export, tmp_path):
    assert outputs(export.path) == list(onnx.load(export.path, load_external_data=False).graph.output)
    for cut in (1000, 100_000, -1):
        (tmp_path / "cut.onnx").write_bytes(export.path.read_bytes()[:cut])
        with pytest.raises(graphfix.GraphfixError, match="cut off"):
            outputs(tmp_path / "cut.onnx")


def test_a_report_says_what_was_checked_and_what_was_done(pipeline, fixed):
    report = place(fixed("flux_fp8_20"), pipeline("flux")).report()
    assert json.loads(json.dumps(report)) == report
    assert report["action"] == "placed"
    assert report["arguments"] == {"max_sequence_length": 32}
    assert {row["check"] for row in report["checks"]} >= {"inputs", "sizes", "config.json", "types", "output", "tokens", "lints"}
    assert [done["name"] for done in report["repairs"]["passes"]] == ["io-types", "io"]
