using PipelineDsl.Runtime.Formats.Safetensors;

namespace PipelineDsl.Cli.Projects;

/// <summary>Compares the names of tensors with those of a model's fields, which they are made of.</summary>
/// <param name="classes">All module classes of the project.</param>
internal sealed class WeightsFit(IReadOnlyList<ModelClass> classes)
{
    private readonly Dictionary<string, ModelClass> known = classes.ToDictionary(type => type.Name, StringComparer.Ordinal);

    /// <summary>The share of the tensors that have a place in a model, as far as the source shows.</summary>
    public double Of(WeightStore store, ModelClass model) =>
        store.Names.Count == 0 ? 0 : (double)store.Names.Count(name => HasPlace(name.Split('.'), 0, model)) / store.Names.Count;

    private bool HasPlace(string[] name, int at, ModelClass type)
    {
        if (at == name.Length || !type.Fields.TryGetValue(name[at], out var types))
        {
            return at == name.Length;
        }

        // Inside the library's own modules nothing is known; a container of them has one more segment, an index or a key.
        ModelClass[] inner = [.. types.Where(known.ContainsKey).Select(held => known[held])];
        int next = at + (inner.Length < types.Count ? 2 : 1);
        return inner.Length == 0 || next >= name.Length || inner.Any(held => HasPlace(name, next, held));
    }
}
