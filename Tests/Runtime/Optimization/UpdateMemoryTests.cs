using PipelineDsl.Runtime.Optimization;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Optimization;

public sealed class UpdateMemoryTests
{
    [Fact]
    public void Tensors_are_kept_row_by_row_as_they_come_back_from_a_file()
    {
        using var scope = NewDisposeScope();
        using var memory = new UpdateMemory();
        var transposed = arange(6, dtype: float32).reshape(2, 3).mT;
        memory.Set("set", transposed.mT.clone().mT);
        var mean = memory.Like("like", transposed);
        memory.Tensors["set"].is_contiguous().ShouldBeTrue();
        Compare.SameBits(memory.Tensors["set"], transposed).ShouldBeTrue();
        mean.is_contiguous().ShouldBeTrue();
        mean.shape.ShouldBe(transposed.shape);
    }

    [Fact]
    public void A_strided_tensor_that_is_replaced_leaves_nothing_alive() => Formats.TensorCount.GrowthOf(() =>
    {
        using var memory = new UpdateMemory();
        memory.Set("a", zeros(2, 3).DetachFromDisposeScope());
        using var source = zeros(3, 2);
        memory.Set("a", source.mT);
    }).ShouldBe(0);
}
