namespace PipelineDsl.Build.Tests;

/// <summary>A published application is complete.</summary>
public sealed class PublishTests(Product product) : IDisposable
{
    private readonly Project project = new(product);

    private string Out => project.InFolder("../out");

    private string App => Path.Combine(Out, OperatingSystem.IsWindows() ? "App.exe" : "App");

    public void Dispose() => project.Dispose();

    [Fact]
    public void It_carries_the_models_and_the_tensor_library_and_runs()
    {
        project.Write("Program.cs", """
            using TorchSharp;

            using var model = Demo.TinyPipeline.Load();
            using var input = torch.ones(1, 8);
            using var output = model.call(input);
            Console.WriteLine($"outputs: {output.shape[1]}");
            """);
        project.Succeed("publish", "-o", Out);

        project.Exists("../out/models/tiny/model.safetensors").ShouldBeTrue();
        project.Files("../out").ShouldContain(path => path.Contains("torch_cpu"));
        Command.RunProgram(App).Output.ShouldContain("outputs: 4");
    }

    [Fact]
    public void It_can_follow_a_build_and_leave_the_tensor_library_out()
    {
        project.Build();
        string[] journal = project.Journal;
        project.Succeed("publish", "--no-build", "-c", "Debug", "-o", Out, "-p:PipelineDslPublishNatives=false");

        project.Journal.ShouldBe(journal);
        project.Exists("../out/models/tiny/model.safetensors").ShouldBeTrue();
        project.Files("../out").ShouldNotContain(path => path.Contains("torch_cpu"));
    }

    /// <summary>The build for one system runs the pipeline on another: what the artifact holds is the same.</summary>
    [Fact]
    public void For_a_named_system_it_follows_the_build_for_that_system()
    {
        string own = OperatingSystem.IsWindows() ? "win-x64" : OperatingSystem.IsMacOS() ? "osx-arm64" : "linux-x64";
        project.Build("-r", own, "--no-self-contained");
        project.Exists($"bin/Debug/net10.0/{own}/models/tiny/model.safetensors").ShouldBeTrue();
        project.Succeed("publish", "--no-build", "-c", "Debug", "-r", own, "--no-self-contained", "-o", Out);
        project.Exists("../out/models/tiny/model.safetensors").ShouldBeTrue();
        project.Files("../out").ShouldContain(path => path.Contains("torch_cpu"));
        Command.RunProgram(App).Output.ShouldContain("outputs: 4");

        string other = OperatingSystem.IsWindows() ? "linux-x64" : "win-x64";
        project.Succeed("publish", "-r", other, "--no-self-contained", "-p:UseAppHost=false", "-p:PipelineDslPublishNatives=false", "-o", project.InFolder("../elsewhere"));
        File.ReadAllBytes(project.InFolder("../elsewhere/models/tiny/model.safetensors")).ShouldBe(File.ReadAllBytes(project.InFolder("../out/models/tiny/model.safetensors")));
    }

    [Fact]
    public void Without_artifacts_it_is_an_error()
    {
        project.Build("-p:PipelineDslEnabled=false");
        CommandResult result = project.DotNet("publish", "--no-build", "-c", "Debug", "-o", Out);

        result.ExitCode.ShouldNotBe(0);
        result.Output.ShouldContain("error PDSL2003");
    }

    [Fact]
    public void A_single_file_has_the_models_beside_it()
    {
        project.Succeed("publish", "--use-current-runtime", "--no-self-contained", "-p:PublishSingleFile=true", "-o", Out);

        project.Exists("../out/models/tiny/model.safetensors").ShouldBeTrue();
        Command.RunProgram(App).Output.ShouldContain("outputs: 4");
    }
}
