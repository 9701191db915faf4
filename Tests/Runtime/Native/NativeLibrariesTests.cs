using TorchSharp;

namespace PipelineDsl.Runtime.Tests.Native;

public sealed class NativeLibrariesTests
{
    [Fact]
    public void The_tensor_library_computes_without_a_copy_of_it_in_the_output_folder()
    {
        using var x = torch.ones(3, 3);
        x.sum().item<float>().ShouldBe(9);
        Directory.GetFiles(AppContext.BaseDirectory, "libtorch_cpu*", SearchOption.AllDirectories).ShouldBeEmpty();
    }
}
