namespace PipelineDsl.Cli.Projects;

/// <summary>A TorchSharp module class of a compiled project.</summary>
/// <param name="Name">Its full name, as recipes write it.</param>
/// <param name="Members">The names of its fields, which are the first segments of its tensors' names.</param>
/// <param name="Uses">The full names of the classes that its fields hold.</param>
/// <param name="IsCreatable">Whether the build can create it: neither abstract nor generic nor hidden, with a constructor that needs no arguments.</param>
internal sealed record ModelClass(string Name, IReadOnlyList<string> Members, IReadOnlyList<string> Uses, bool IsCreatable);
