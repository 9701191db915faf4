using PipelineDsl.Diagnostics;
using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Formats.Safetensors;

namespace PipelineDsl.Cli.Projects;

/// <summary>The files of a project that a recipe can name.</summary>
internal sealed class ProjectContents
{
    private const string AdapterWeights = "adapter_model.safetensors";
    private const string Safetensors = ".safetensors";

    /// <summary>The tensors of a file of data.</summary>
    private static readonly string[] DataTensors = ["input", "target"];

    private static readonly string[] HeldOutWords = ["test", "valid", "held", "eval", "dev"];

    private ProjectContents(string folder, IReadOnlyList<string> files)
    {
        Folder = folder;
        string[] sharded = [.. files.Where(file => Path.GetFileName(file) == WeightStore.IndexFileName).Select(DirectoryOf)];
        string[] tensors = [.. files.Where(file => HasExtension(file, Safetensors) && Path.GetFileName(file) != AdapterWeights && !sharded.Contains(DirectoryOf(file)))];
        string[] rows = [.. tensors.Where(file => HoldsRows(Path.Combine(folder, file)))];
        Weights = [.. sharded, .. tensors.Except(rows)];
        Pickles = [.. files.Where(RecipeCatalog.IsPickle)];
        string[] data = [.. files.Where(file => HasExtension(file, ".jsonl") || (HasExtension(file, ".txt") && DirectoryOf(file).Length > 0)), .. rows];
        HeldOutData = [.. data.Where(IsHeldOut)];
        TrainingData = [.. data.Where(file => !IsHeldOut(file)).OrderByDescending(file => Path.GetFileName(file).Contains("train", StringComparison.OrdinalIgnoreCase)).ThenByDescending(file => HasExtension(file, ".jsonl"))];
        Tokenizers = [.. files.Where(file => Path.GetFileName(file) == "tokenizer.json").Select(DirectoryOf)];
    }

    /// <summary>The project's folder.</summary>
    public string Folder { get; }

    /// <summary>Weights files, and folders of shards, relative to the project, with <c>/</c>.</summary>
    public IReadOnlyList<string> Weights { get; }

    /// <summary>Files as PyTorch pickles them, which recipes cannot name.</summary>
    public IReadOnlyList<string> Pickles { get; }

    /// <summary>Data that may be learned from, the likeliest first.</summary>
    public IReadOnlyList<string> TrainingData { get; }

    /// <summary>Data whose names say that it is for testing.</summary>
    public IReadOnlyList<string> HeldOutData { get; }

    private IReadOnlyList<string> Tokenizers { get; }

    /// <summary>Whether data is text, for models with a tokenizer, and not rows of numbers.</summary>
    public static bool IsText(string data) => !HasExtension(data, Safetensors);

    /// <summary>Whether a tokenizer lies beside weights, so that they read text.</summary>
    public bool HasTokenizer(string weights) => Tokenizers.Contains(HasExtension(weights, Safetensors) ? DirectoryOf(weights) : weights);

    /// <summary>Looks through a project's folder, without what builds leave there.</summary>
    public static ProjectContents Of(string project)
    {
        string folder = Path.GetDirectoryName(project)!;
        return new(folder, [.. Files(folder).Select(file => Path.GetRelativePath(folder, file).Replace('\\', '/')).Order(StringComparer.Ordinal)]);
    }

    /// <summary>A path that the user named, relative to the project.</summary>
    /// <exception cref="PipelineException">PDSL1015: nothing is there. PDSL1018: it lies outside the project.</exception>
    public string Relative(string path, string what)
    {
        string full = Path.Exists(Path.Combine(Folder, path)) ? Path.GetFullPath(Path.Combine(Folder, path)) : Path.GetFullPath(path);
        if (!Path.Exists(full))
        {
            throw new PipelineException(DiagnosticIds.MissingFile, $"{what} '{path}' is not there; name a file of the project, such as {string.Join(", ", Weights.Concat(TrainingData).Take(3).Select(file => $"'{file}'"))}", Path.Combine(Folder, path));
        }

        string relative = Path.GetRelativePath(Folder, full).Replace('\\', '/');
        return relative.StartsWith("../", StringComparison.Ordinal) || Path.IsPathRooted(relative)
            ? throw new PipelineException(DiagnosticIds.PathOutsideProject, $"{what} '{path}' lies outside the project '{Folder}'; move it there, because recipes name files of their project", full)
            : relative;
    }

    private static IEnumerable<string> Files(string folder) => Directory.EnumerateFiles(folder).Concat(
        Directory.EnumerateDirectories(folder).Where(inner => Path.GetFileName(inner) is var name && name is not ("bin" or "obj" or "node_modules") && !name.StartsWith('.')).SelectMany(Files));

    private static bool HoldsRows(string file)
    {
        try
        {
            using var tensors = SafetensorsFile.Open(file);
            return tensors.Names.Order(StringComparer.Ordinal).SequenceEqual(DataTensors);
        }
        catch (PipelineException)
        {
            // Damaged: whoever names it hears why.
            return false;
        }
    }

    private static bool IsHeldOut(string file) => HeldOutWords.Any(word => Path.GetFileNameWithoutExtension(file).Contains(word, StringComparison.OrdinalIgnoreCase));

    private static bool HasExtension(string file, string extension) => file.EndsWith(extension, StringComparison.OrdinalIgnoreCase);

    private static string DirectoryOf(string file) => Path.GetDirectoryName(file)!.Replace('\\', '/');
}
