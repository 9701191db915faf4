namespace PipelineDsl.Build.Tests;

/// <summary>A user's application with a model of two layers and one recipe, in a folder of its own outside the repository.</summary>
internal sealed class Project : IDisposable
{
    private const string Model = """
        using TorchSharp;
        using TorchSharp.Modules;
        using static TorchSharp.torch;
        using static TorchSharp.torch.nn;

        namespace Demo;

        public sealed class Mlp : Module<Tensor, Tensor>
        {
            private readonly Linear fc1 = Linear(8, 16);
            private readonly Linear fc2 = Linear(16, 4);

            public Mlp() : base("Mlp") => RegisterComponents();

            public override Tensor forward(Tensor input) => fc2.call(functional.relu(fc1.call(input)));
        }
        """;

    private const string Program = """
        using TorchSharp;

        PipelineDsl.Runtime.Native.NativeLibraries.Load();
        using var input = torch.ones(1, 8);
        using var output = new Demo.Mlp().call(input);
        Console.WriteLine($"outputs: {output.shape[1]}");
        """;

    private readonly string root;

    public Project(Product product, string folderName = "App")
    {
        root = Directory.CreateTempSubdirectory("pdsl-").FullName;
        Folder = Path.Combine(root, folderName);
        Version = product.Version;
        Write("../nuget.config", $"""
            <configuration>
              <packageSources>
                <add key="PipelineDsl" value="{Product.Packages}" />
              </packageSources>
            </configuration>
            """);
        Write("App.csproj", ProjectFile());
        Write("Mlp.cs", Model);
        Write("Program.cs", Program);
        WriteWeights(seed: 1);
        WriteRecipe("tiny", bits: 8);
    }

    public string Folder { get; }

    public string Version { get; }

    /// <summary>What the host noted about its runs.</summary>
    public string[] Journal => Exists("obj/Debug/net10.0/pipeline/journal.log") ? File.ReadAllLines(InFolder("obj/Debug/net10.0/pipeline/journal.log")) : [];

    public string InFolder(string path) => Path.GetFullPath(Path.Combine(Folder, path));

    public bool Exists(string path) => File.Exists(InFolder(path));

    public void Write(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(InFolder(path))!);
        File.WriteAllText(InFolder(path), text);
    }

    public string ProjectFile(string properties = "", string items = "", string outputType = "Exe") => $"""
        <Project Sdk="Microsoft.NET.Sdk">
          <PropertyGroup>
            <TargetFramework>net10.0</TargetFramework>
            <OutputType>{outputType}</OutputType>
            <ImplicitUsings>enable</ImplicitUsings>
            <Nullable>enable</Nullable>
            <PipelineDslCacheDirectory>$(MSBuildProjectDirectory)/../cache</PipelineDslCacheDirectory>
            {properties}
          </PropertyGroup>
          <ItemGroup>
            <PackageReference Include="PipelineDsl" Version="{Version}" />
            {items}
          </ItemGroup>
        </Project>
        """;

    public void WriteRecipe(string name, int bits) => Write($"{name}.recipe.yaml", $$"""
        recipe: {{name}}
        model: Demo.Mlp
        weights: weights/mlp.safetensors
        steps:
          - match: "**"
            quantize: { bits: {{bits}} }

        """);

    public void WriteWeights(int seed)
    {
        Directory.CreateDirectory(InFolder("weights"));
        File.WriteAllBytes(InFolder("weights/mlp.safetensors"), Weights.File(seed));
    }

    public void WriteData()
    {
        Directory.CreateDirectory(InFolder("data"));
        File.WriteAllBytes(InFolder("data/data.safetensors"), Weights.Data(seed: 3));
    }

    /// <summary>Runs a command of <c>dotnet</c> that builds, in processes that end with it.</summary>
    public CommandResult DotNet(string command, params IEnumerable<string> more) =>
        Command.Run(Folder, [command, .. more, "-nodeReuse:false", "-p:UseSharedCompilation=false", "-verbosity:minimal", "-tl:off"]);

    /// <summary>A build that must succeed.</summary>
    public string Build(params IEnumerable<string> more) => Succeed("build", more);

    public string Succeed(string command, params IEnumerable<string> more)
    {
        CommandResult result = DotNet(command, more);
        result.ExitCode.ShouldBe(0, result.Output);
        return result.Output;
    }

    /// <summary>Files below a folder, relative to it.</summary>
    public string[] Files(string folder) => Directory.Exists(InFolder(folder))
        ? [.. Directory.EnumerateFiles(InFolder(folder), "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(InFolder(folder), path).Replace('\\', '/')).Order(StringComparer.Ordinal)]
        : [];

    public void Dispose() => Directory.Delete(root, recursive: true);
}
