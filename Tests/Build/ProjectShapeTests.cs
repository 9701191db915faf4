namespace PipelineDsl.Build.Tests;

/// <summary>Builds of every shape that users have.</summary>
public sealed class ProjectShapeTests(Product product)
{
    private const string Artifact = "bin/Debug/net10.0/models/tiny/model.safetensors";

    /// <summary>Where no step runs the model it is made without numbers, if its constructor allows.</summary>
    [Fact]
    public void A_model_whose_constructor_reads_its_own_numbers_is_compressed_like_any_other()
    {
        using var project = new Project(product);
        project.Build();
        byte[] artifact = File.ReadAllBytes(project.InFolder(Artifact));

        project.Write("Mlp.cs", File.ReadAllText(project.InFolder("Mlp.cs")).Replace("=> RegisterComponents();", "{ RegisterComponents(); System.Console.Error.WriteLine(fc1.weight![0, 0].item<float>()); }"));
        Directory.Delete(project.InFolder("../cache"), recursive: true);
        Directory.Delete(project.InFolder("obj/Debug/net10.0/pipeline/models"), recursive: true);
        project.Build("--no-restore");

        project.Journal.Count(entry => entry == "layer tiny fc1").ShouldBe(2);
        File.ReadAllBytes(project.InFolder(Artifact)).ShouldBe(artifact);
    }

    [Fact]
    public void A_recipe_with_the_short_extension_is_a_recipe()
    {
        using var project = new Project(product);
        Directory.CreateDirectory(project.InFolder("recipes"));
        File.Move(project.InFolder("tiny.recipe.yaml"), project.InFolder("recipes/tiny.recipe.yml"));
        project.Build();
        project.Files("bin/Debug/net10.0/models").ShouldContain("tiny/model.safetensors");
        project.Exists("recipes/tiny.recipe.lock.yaml").ShouldBeTrue();
    }

    [Fact]
    public void Path_with_spaces_quotes_other_signs_and_letters_of_other_alphabets()
    {
        using var project = new Project(product, "O'Brien, mein (2.) Projekt @ 模型 & #1");
        project.Build();
        project.Exists(Artifact).ShouldBeTrue();
        string[] journal = project.Journal;
        project.Build("--no-restore");
        project.Journal.ShouldBe(journal);
    }

    /// <summary>The second framework is one that every system builds for without a download.</summary>
    [Fact]
    public void Several_target_frameworks_at_once_a_graph_build_and_a_multithreaded_one()
    {
        using var project = new Project(product);
        project.Write("App.csproj", project.ProjectFile("<EnableWindowsTargeting>true</EnableWindowsTargeting><DisableTransitiveFrameworkReferenceDownloads>true</DisableTransitiveFrameworkReferenceDownloads>")
            .Replace("<TargetFramework>net10.0</TargetFramework>", "<TargetFrameworks>net10.0;net10.0-windows</TargetFrameworks>"));
        string[] artifacts = [Artifact, Artifact.Replace("net10.0", "net10.0-windows")];
        project.Build("-m");
        artifacts.ShouldAllBe(artifact => project.Exists(artifact));
        string[] journals = ["obj/Debug/net10.0/pipeline/journal.log", "obj/Debug/net10.0-windows/pipeline/journal.log"];
        journals.SelectMany(journal => File.ReadAllLines(project.InFolder(journal))).Where(entry => entry.StartsWith("layer ", StringComparison.Ordinal)).Order().ShouldBe(["layer tiny fc1", "layer tiny fc2"]);

        foreach (string mode in new[] { "-graph", "-mt" })
        {
            project.Succeed("clean");
            artifacts.ShouldAllBe(artifact => !project.Exists(artifact));
            project.Build("--no-restore", mode);
            artifacts.ShouldAllBe(artifact => project.Exists(artifact), mode);
        }
    }

    [Fact]
    public void A_tensor_library_that_cannot_be_loaded_is_an_error_that_names_its_file()
    {
        using var project = new Project(product);
        string folder = project.InFolder("obj/Debug/net10.0/pipeline-natives/cuda-linux/bin");
        foreach (string name in new[] { "libc10.so", "libtorch_cpu.so", "c10.dll", "torch_cpu.dll", "libc10.dylib", "libtorch_cpu.dylib" })
        {
            project.Write(Path.Combine(folder, name), "no library");
        }

        // A back end whose files are there is not restored again.
        CommandResult result = project.DotNet("build", "-p:TorchBackend=cuda-linux");
        result.ExitCode.ShouldNotBe(0);
        result.Output.ShouldContain($"error PDSL3001: cannot load '{folder}");
        result.Output.ShouldNotContain("PDSL2002");
        project.Files("bin/Debug/net10.0/models").ShouldBeEmpty();
    }

    [Fact]
    public void An_application_gets_the_models_of_its_library_without_compressing_itself()
    {
        using var project = new Project(product);
        File.Delete(project.InFolder("Program.cs"));
        project.Write("App.csproj", project.ProjectFile(outputType: "Library"));
        project.Write("../Shell/Program.cs", "Console.WriteLine(typeof(Demo.Mlp));");
        project.Write("../Shell/Shell.csproj", """
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <TargetFramework>net10.0</TargetFramework>
                <OutputType>Exe</OutputType>
                <ImplicitUsings>enable</ImplicitUsings>
              </PropertyGroup>
              <ItemGroup>
                <ProjectReference Include="../App/App.csproj" />
              </ItemGroup>
            </Project>
            """);

        project.Build("../Shell/Shell.csproj");
        project.Exists($"../Shell/{Artifact}").ShouldBeTrue();
        project.Files("../Shell/obj/Debug/net10.0/pipeline").ShouldBeEmpty();

        project.Succeed("publish", "../Shell/Shell.csproj", "--no-build", "-c", "Debug", "-o", project.InFolder("../out"));
        project.Exists("../out/models/tiny/model.safetensors").ShouldBeTrue();
    }

    [Fact]
    public void A_packed_library_brings_its_models_to_who_references_it()
    {
        using var project = new Project(product);
        File.Delete(project.InFolder("Program.cs"));
        project.Write("App.csproj", project.ProjectFile(outputType: "Library"));
        project.Succeed("pack", "-p:PackageVersion=1.0.0", "-p:PackageId=Demo.Models", "-o", project.InFolder("../feed"));
        project.Write("../Shell/Program.cs", "Console.WriteLine(typeof(Demo.Mlp));");
        project.Write("../Shell/nuget.config", """<configuration><packageSources><add key="feed" value="../feed" /></packageSources></configuration>""");
        // The package goes to a folder of its own, not to the user's; what it stands on is taken from there.
        string users = Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        project.Write("../Shell/Shell.csproj", $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <TargetFramework>net10.0</TargetFramework>
                <OutputType>Exe</OutputType>
                <ImplicitUsings>enable</ImplicitUsings>
                <RestorePackagesPath>../packages</RestorePackagesPath>
                <RestoreFallbackFolders>{users}</RestoreFallbackFolders>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="Demo.Models" Version="1.0.0" />
              </ItemGroup>
            </Project>
            """);

        project.Build("../Shell/Shell.csproj");
        project.Exists($"../Shell/{Artifact}").ShouldBeTrue();
        project.Files("../Shell/obj/Debug/net10.0/pipeline").ShouldBeEmpty();
    }

    [Fact]
    public void The_tensor_library_stays_out_of_the_output_folder_even_when_the_project_references_it()
    {
        using var project = new Project(product);
        string system = OperatingSystem.IsWindows() ? "win-x64" : OperatingSystem.IsMacOS() ? "osx-arm64" : "linux-x64";
        project.Write("App.csproj", project.ProjectFile(items: $"""<PackageReference Include="libtorch-cpu-{system}" Version="2.10.0" />"""));
        project.Build();

        project.Exists(Artifact).ShouldBeTrue();
        project.Files("bin").ShouldNotContain(path => path.Contains("torch_cpu"));
    }

    [Fact]
    public void An_unknown_back_end_is_an_error_that_names_the_known_ones()
    {
        using var project = new Project(product);
        CommandResult result = project.DotNet("build", "-p:TorchBackend=rocm");

        result.ExitCode.ShouldNotBe(0);
        result.Output.ShouldContain("error PDSL2005: TorchBackend is 'rocm'; use cpu, cuda-linux or cuda-windows");
    }

    [Fact]
    public void The_targets_pass_the_checks_of_msbuild()
    {
        using var project = new Project(product);
        project.Build("-check").ShouldNotContain("BC0");
    }
}
