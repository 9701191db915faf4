using PipelineDsl.Diagnostics;
using PipelineDsl.Runtime.Native;
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

    [Fact]
    public void A_folder_that_is_named_and_does_not_hold_the_tensor_library_is_an_error_and_not_another_folder()
    {
        var (folder, _) = NativeLibraries.Find(null)!.Value;
        NativeLibraries.Find("").ShouldBe(NativeLibraries.Find(null));
        NativeLibraries.Find(folder).ShouldBe((folder, NativeLibraries.FolderVariable));

        string missing = Path.Combine(AppContext.BaseDirectory, "no such folder");
        foreach (var (chosen, reason) in new[] { (missing, "which is no folder"), (AppContext.BaseDirectory, "which holds no '") })
        {
            var problem = Should.Throw<PipelineException>(() => NativeLibraries.Find(chosen)).Diagnostic;
            problem.Id.ShouldBe(DiagnosticIds.NativeLibraryNotLoaded);
            problem.Message.ShouldStartWith($"PIPELINEDSL_LIBTORCH names '{chosen}', {reason}");
            problem.Message.ShouldEndWith($"; let it name the folder with the libraries of libtorch {NativeLibraries.Version}, or unset it to use '{folder}'");
        }
    }
}
