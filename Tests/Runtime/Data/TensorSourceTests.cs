using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Data;
using PipelineDsl.Runtime.Formats.Safetensors;
using PipelineDsl.Runtime.Tests.Formats;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Data;

public sealed class TensorSourceTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly TorchSharp.DisposeScope scope = NewDisposeScope();

    [Fact]
    public void Rows_come_in_batches_and_in_order()
    {
        var source = Open(0, ("input", arange(300, dtype: float32).reshape(100, 3)), ("target", arange(100, dtype: int32)));

        Batch[] batches = [.. source.EvaluationBatches()];

        source.ShouldBeOfType<TensorSource>().RowCount.ShouldBe(100);
        batches.Select(batch => batch.Input.shape[0]).ShouldBe([64, 36]);
        cat([.. batches.Select(batch => batch.Input)]).Equals(arange(300, dtype: float32).reshape(100, 3)).ShouldBeTrue();
        cat([.. batches.Select(batch => batch.Target!)]).Equals(arange(100, dtype: int64)).ShouldBeTrue();
        Array.ForEach(batches, batch => batch.Dispose());
    }

    [Fact]
    public void Calibration_takes_rows_spread_over_the_file()
    {
        using var batch = Open(4, ("input", arange(10, dtype: float16).reshape(10, 1))).CalibrationBatches().Single();

        batch.Input.dtype.ShouldBe(float32);
        batch.Input.data<float>().ToArray().ShouldBe([0, 2, 5, 7]);
        batch.Target.ShouldBeNull();
    }

    [Fact]
    public void Batches_outlive_the_scope_they_are_made_in()
    {
        var source = Open(0, ("input", ones(2, 3)));
        Batch batch;
        using (NewDisposeScope())
        {
            batch = source.EvaluationBatches().Single();
        }

        batch.Input.sum().item<float>().ShouldBe(6);
        batch.Dispose();
    }

    [Fact]
    public void Disposing_batches_leaves_no_tensor_behind()
    {
        var source = Open(0, ("input", ones(100, 3)), ("target", ones(100)));
        TensorCount.GrowthOf(() =>
        {
            foreach (var batch in source.EvaluationBatches())
            {
                batch.Dispose();
            }
        }).ShouldBe(0);
    }

    [Fact]
    public void Tensors_that_cannot_serve_are_refused()
    {
        Refusal(("x", ones(2, 3))).ShouldContain("holds no tensor 'input' (it holds: x)");
        Refusal(("input", ones(2, 3)), ("target", ones(3))).ShouldContain("has 2 rows of 'input' but 3 of 'target'");
        Refusal(("input", tensor(1f))).ShouldContain("'input' that is a scalar");
        Refusal(("input", zeros(0, 3))).ShouldContain("has no rows");
    }

    [Fact]
    public void A_damaged_file_is_broken_weights() =>
        Should.Throw<PipelineException>(() => DataSource.Open(folder.Write("data.safetensors", "x"), null, 0, 8)).Diagnostic.Id.ShouldBe(DiagnosticIds.BrokenWeights);

    public void Dispose()
    {
        scope.Dispose();
        folder.Dispose();
    }

    private string Refusal(params (string Name, Tensor Tensor)[] tensors)
    {
        var failure = Should.Throw<PipelineException>(() => Open(0, tensors));
        failure.Diagnostic.Id.ShouldBe(DiagnosticIds.BrokenData);
        return failure.Message;
    }

    private DataSource Open(int samples, params (string Name, Tensor Tensor)[] tensors)
    {
        SafetensorsWriter.Write(folder.File("data.safetensors"), tensors.ToDictionary(entry => entry.Name, entry => entry.Tensor));
        return DataSource.Open(folder.File("data.safetensors"), null, samples, 8);
    }
}
