using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

namespace PipelineDsl.Tasks;

/// <summary>Runs the host on a freshly compiled assembly: solves its recipes and leaves their artifacts in the intermediate folder, or only plans or measures them.</summary>
[MSBuildMultiThreadableTask]
public sealed class CompressModels : ToolTask
{
    private const string ProgressPrefix = "progress: ";

    private string lastErrorLine = "";
    private bool cancelled;

    /// <summary>What the host is asked for: <c>build</c>, <c>plan</c> or <c>evaluate</c>.</summary>
    public string Verb { get; set; } = "build";

    /// <summary>Full path of the file that receives what a plan or an evaluation found.</summary>
    public string ResultFile { get; set; } = "";

    /// <summary>Full path of <c>PipelineDsl.Host.dll</c>.</summary>
    [Required]
    public string HostPath { get; set; } = "";

    /// <summary>Full path of the <c>dotnet</c> that runs the host.</summary>
    [Required]
    public string DotNetPath { get; set; } = "";

    /// <summary>Full path of the compiled assembly, with the assemblies of referenced projects beside it.</summary>
    [Required]
    public string StagedAssembly { get; set; } = "";

    /// <summary>Full path of the assembly's deps file; it must lie beside the assembly.</summary>
    [Required]
    public string DepsFile { get; set; } = "";

    /// <summary>The folders that NuGet restored packages to.</summary>
    public ITaskItem[] PackageFolders { get; set; } = [];

    /// <summary>Full path of the project file.</summary>
    [Required]
    public string ProjectFile { get; set; } = "";

    /// <summary>Full path of the file that tells the host what to do; this task writes it, with its process in the name, and deletes it when the host has ended.</summary>
    [Required]
    public string RequestFile { get; set; } = "";

    /// <summary>Full path of the folder that receives one folder for each recipe.</summary>
    [Required]
    public string OutputDirectory { get; set; } = "";

    /// <summary>Full path of the list of artifact files that the host writes.</summary>
    [Required]
    public string ArtifactsList { get; set; } = "";

    /// <summary>Full path of the log that the host appends what it did to.</summary>
    [Required]
    public string Journal { get; set; } = "";

    /// <summary>The content cache; empty for the user's.</summary>
    public string CacheDirectory { get; set; } = "";

    /// <summary>The most memory that the host may take, such as <c>2 GB</c>; empty for no limit.</summary>
    public string MemoryLimit { get; set; } = "";

    /// <summary>The address of a server of cached results; empty for none.</summary>
    public string CacheUrl { get; set; } = "";

    /// <summary>Whether results are only taken from that server.</summary>
    public bool CacheReadOnly { get; set; }

    /// <summary><c>auto</c>, <c>cpu</c> or <c>cuda</c>.</summary>
    public string Device { get; set; } = "auto";

    /// <summary>Threads of the tensor library; 0 leaves it to the host.</summary>
    public int Threads { get; set; }

    /// <summary>The most cores to ask MSBuild for; 0 asks for all.</summary>
    public int MaxCores { get; set; }

    /// <summary>Whether a plan that differs from its lock file is an error.</summary>
    public bool LockedMode { get; set; }

    /// <summary>Whether lock files are rewritten.</summary>
    public bool UpdateLock { get; set; }

    /// <summary>The folder that holds libtorch; empty when the host finds it on its own.</summary>
    public string NativeDirectory { get; set; } = "";

    /// <summary>The configuration that is built.</summary>
    public string Configuration { get; set; } = "";

    /// <summary>The framework that is built for.</summary>
    public string TargetFramework { get; set; } = "";

    /// <summary>The recipe files.</summary>
    public ITaskItem[] Recipes { get; set; } = [];

    /// <summary>Tells the targets that the host ran in this build and has said itself what it had to say.</summary>
    [Output]
    public bool Ran { get; private set; }

    /// <inheritdoc/>
    protected override string ToolName => "dotnet";

    /// <inheritdoc/>
    protected override MessageImportance StandardErrorLoggingImportance => MessageImportance.Low;

    /// <inheritdoc/>
    protected override MessageImportance StandardOutputLoggingImportance => MessageImportance.Normal;

    /// <inheritdoc/>
    protected override System.Text.Encoding StandardOutputEncoding => System.Text.Encoding.UTF8;

    /// <inheritdoc/>
    protected override System.Text.Encoding StandardErrorEncoding => System.Text.Encoding.UTF8;

    private string ProjectDirectory => Path.GetDirectoryName(ProjectFile)!;

    /// <summary>Several builds of one project may run at once, each with options and a process of its own.</summary>
    private string OwnRequestFile => Path.ChangeExtension(RequestFile, $".{ProcessId}{Path.GetExtension(RequestFile)}");

    private static int ProcessId => System.Diagnostics.Process.GetCurrentProcess().Id;

    private string RuntimeConfig => Path.ChangeExtension(HostPath, ".runtimeconfig.json");

    /// <inheritdoc/>
    public override bool Execute()
    {
        try
        {
            EnvironmentVariables = [.. HostEnvironment()];
        }
        catch (LibStdCppShimException failure)
        {
            LogCoded(Codes.OldSystemLibrary, failure.Message);
            return false;
        }

        int cores = RequestCores();
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(RequestFile)!);
            File.WriteAllText(OwnRequestFile, Request(cores).ToString());
            return Ran = base.Execute();
        }
        finally
        {
            File.Delete(OwnRequestFile);
            ReleaseCores(cores);
        }
    }

    /// <inheritdoc/>
    public override void Cancel()
    {
        cancelled = true;
        base.Cancel();
    }

    /// <inheritdoc/>
    protected override bool ValidateParameters()
    {
        if (new[] { HostPath, RuntimeConfig, DepsFile, StagedAssembly }.FirstOrDefault(path => !File.Exists(path)) is not { } missing)
        {
            return true;
        }

        LogCoded(Codes.HostNotFound, $"the pipeline cannot start because '{missing}' is not there; restore and rebuild the project");
        return false;
    }

    /// <inheritdoc/>
    protected override string GenerateFullPathToTool() => DotNetPath;

    /// <inheritdoc/>
    protected override string GetWorkingDirectory() => ProjectDirectory;

    /// <inheritdoc/>
    protected override string GenerateCommandLineCommands()
    {
        var line = new CommandLineBuilder();
        line.AppendSwitch("exec");
        line.AppendSwitchIfNotNull("--runtimeconfig ", RuntimeConfig);
        line.AppendSwitchIfNotNull("--depsfile ", DepsFile);
        foreach (ITaskItem folder in PackageFolders)
        {
            // A closing separator would escape the closing quote on Windows.
            line.AppendSwitchIfNotNull("--additionalprobingpath ", folder.ItemSpec.TrimEnd('/', '\\'));
        }

        line.AppendFileNameIfNotNull(HostPath);
        line.AppendFileNameIfNotNull(OwnRequestFile);
        return line.ToString();
    }

    /// <inheritdoc/>
    protected override void LogEventsFromTextOutput(string singleLine, MessageImportance messageImportance)
    {
        if (messageImportance == StandardErrorLoggingImportance)
        {
            lastErrorLine = string.IsNullOrWhiteSpace(singleLine) ? lastErrorLine : singleLine.Trim();
            Log.LogMessage(MessageImportance.Low, "{0}", singleLine);
        }
        else if (singleLine.StartsWith(ProgressPrefix, StringComparison.Ordinal))
        {
            Log.LogMessage(MessageImportance.High, "{0}", singleLine.Substring(ProgressPrefix.Length));
        }
        else
        {
            base.LogEventsFromTextOutput(singleLine, messageImportance);
        }
    }

    /// <inheritdoc/>
    protected override bool HandleTaskExecutionErrors()
    {
        if (!cancelled && !Log.HasLoggedErrors)
        {
            string said = lastErrorLine.Length > 0 ? $"; its last words were '{lastErrorLine}'" : "";
            LogCoded(Codes.HostCrashed, $"the pipeline stopped with exit code {ExitCode} without saying why{said}; build again with -v:detailed to see all that it wrote, and if it ran out of memory set PipelineDslMaxCores to fewer");
        }

        return false;
    }

    private IEnumerable<string> HostEnvironment()
    {
        // Threads of the tensor library that wait spin else, and on a busy machine take the cores from those that work: a build then takes ten times as long.
        if (Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is not { Length: > 0 })
        {
            yield return "OMP_WAIT_POLICY=passive";
        }

        if (NativeDirectory.Length > 0)
        {
            yield return $"PIPELINEDSL_LIBTORCH={NativeDirectory}";
        }

        if (LibStdCppShim.LibraryPath() is { } path)
        {
            yield return $"{LibStdCppShim.Variable}={path}";
        }
    }

    private JsonText Request(int cores) => new JsonText()
        .Add("schema", 1)
        .Add("verb", Verb)
        .Add("result", ResultFile)
        .Add("assembly", StagedAssembly)
        .Add("projectDirectory", ProjectDirectory)
        .Add("projectFile", ProjectFile)
        .Add("outputDirectory", OutputDirectory)
        .Add("artifactsList", ArtifactsList)
        .Add("journal", Journal)
        .Add("cacheDirectory", CacheDirectory)
        .Add("memoryLimit", MemoryLimit)
        .Add("cacheUrl", CacheUrl)
        .Add("cacheReadOnly", CacheReadOnly)
        .Add("device", Device)
        .Add("threads", Threads)
        .Add("cores", cores)
        .Add("lockedMode", LockedMode)
        .Add("updateLock", UpdateLock)
        .Add("parentProcess", ProcessId)
        .Add("nativeDirectory", NativeDirectory)
        .Add("configuration", Configuration)
        .Add("targetFramework", TargetFramework)
        .Add("recipes", Recipes.Select(recipe => recipe.GetMetadata("FullPath")));

    private int RequestCores()
    {
        int wanted = MaxCores > 0 ? MaxCores : Environment.ProcessorCount;
        try
        {
            return BuildEngine is IBuildEngine9 engine ? engine.RequestCores(wanted) : 1;
        }
        catch (NotImplementedException)
        {
            return 1;
        }
    }

    private void ReleaseCores(int cores)
    {
        try
        {
            (BuildEngine as IBuildEngine9)?.ReleaseCores(cores);
        }
        catch (NotImplementedException)
        {
            // What could not be granted need not be given back.
        }
    }

    private void LogCoded(string code, string message) =>
        Log.LogError(null, code, null, ProjectFile, 0, 0, 0, 0, "{0}", message);
}
