namespace PipelineDsl.Cli.Projects;

/// <summary>A TorchSharp module class of a compiled project.</summary>
/// <param name="Name">Its full name, as recipes write it.</param>
/// <param name="Fields">Its fields by name, with the full names of the classes that each holds, type arguments included.</param>
/// <param name="IsCreatable">Whether the build can create it: neither abstract nor generic nor hidden, with a constructor that needs no arguments.</param>
internal sealed record ModelClass(string Name, IReadOnlyDictionary<string, IReadOnlyList<string>> Fields, bool IsCreatable)
{
    /// <summary>The full names of the classes that its fields hold.</summary>
    public IEnumerable<string> Uses => Fields.Values.SelectMany(types => types);
}
