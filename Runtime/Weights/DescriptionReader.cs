using System.Text.Json.Nodes;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Weights;

/// <summary>One form's description with its leaves, not trusted: whatever does not fit is an <see cref="InvalidDataException"/> that names it.</summary>
/// <param name="description">The form's JSON object.</param>
/// <param name="leaf">Gives the tensor of a leaf by its full name.</param>
/// <param name="prefix">What the names of this form's leaves start with: nothing, or <c>left.</c>.</param>
/// <param name="depth">How many forms enclose this one.</param>
internal sealed class DescriptionReader(JsonObject description, Func<string, Tensor> leaf, string prefix, int depth)
{
    private const int DeepestNesting = 32;

    public long Rows => Size("rows");

    public long Columns => Size("columns");

    public string Form => Value<string>("form");

    public bool Flag(string key) => Value<bool>(key);

    public long Integer(string key) => description[key] is JsonValue value && value.TryGetValue(out int small) ? small : Value<long>(key);

    public double Number(string key) => Value<double>(key);

    public T Choice<T>(string key)
        where T : struct, Enum
    {
        string text = Value<string>(key);
        return Enum.GetValues<T>().Where(choice => SettingDescriptor.Format(choice) == text).Select(choice => (T?)choice).FirstOrDefault() ?? throw Damaged($"'{key}' is '{text}'");
    }

    public void Require(string? problem)
    {
        if (problem is not null)
        {
            throw Damaged(problem);
        }
    }

    /// <summary>Builds a form out of leaves and parts; what was read so far is disposed when a later one is damaged.</summary>
    public T Owning<T>(Func<OwnedLeaves, T> build)
        where T : Expression
    {
        var owned = new OwnedLeaves(this);
        try
        {
            return build(owned);
        }
        catch (Exception failure)
        {
            owned.Dispose();
            if (failure is ArgumentException misfit)
            {
                throw Damaged(misfit.Message);
            }

            throw;
        }
    }

    private Tensor Leaf(string name, long[]? shape, ScalarType[] dtypes)
    {
        var tensor = leaf(prefix + name);
        string? problem = !dtypes.Contains(tensor.dtype) ? $"is {tensor.dtype}; expected {string.Join(" or ", dtypes)}"
            : shape is not null && !tensor.shape.SequenceEqual(shape) ? $"is [{string.Join(", ", tensor.shape)}]; expected [{string.Join(", ", shape)}]"
            : null;
        if (problem is null)
        {
            return tensor;
        }

        tensor.Dispose();
        throw new InvalidDataException($"leaf '{prefix}{name}' {problem}");
    }

    private Expression Part(JsonNode? node, string name)
    {
        if (node is not JsonObject part)
        {
            throw Damaged($"'{name}' is not a weight form");
        }

        Require(depth >= DeepestNesting ? $"more than {DeepestNesting} forms inside each other" : null);
        return ExpressionReader.Read(new(part, leaf, $"{prefix}{name}.", depth + 1));
    }

    private long Size(string key)
    {
        long size = Integer(key);
        return size > 0 ? size : throw Damaged($"'{key}' is {size}");
    }

    private T Value<T>(string key) => description[key] is JsonValue value && value.TryGetValue(out T? found) ? found : throw Damaged($"'{key}' is missing or not of type {typeof(T).Name}");

    private InvalidDataException Damaged(string what) => new($"damaged weight description{(prefix.Length > 0 ? $" at '{prefix.TrimEnd('.')}'" : "")}: {what}");

    /// <summary>Leaves and parts on their way into a form.</summary>
    internal sealed class OwnedLeaves(DescriptionReader description) : IDisposable
    {
        private readonly List<IDisposable> owned = [];

        /// <summary>A leaf of one of the dtypes and, unless null, of the shape.</summary>
        public Tensor Tensor(string name, long[]? shape, params ScalarType[] dtypes) => Own(description.Leaf(name, shape, dtypes));

        /// <summary>An enclosed form.</summary>
        public Expression Part(string name) => Own(description.Part(description.Node(name), name));

        /// <summary>A list of enclosed forms, named <c>terms.0</c>, <c>terms.1</c>, …</summary>
        public Expression[] Parts(string name) => description.Node(name) is JsonArray list
            ? [.. list.Select((node, index) => Own(description.Part(node, $"{name}.{index}")))]
            : throw description.Damaged($"'{name}' is not a list");

        public void Dispose() => owned.ForEach(item => item.Dispose());

        private T Own<T>(T item)
            where T : IDisposable
        {
            owned.Add(item);
            return item;
        }
    }

    private JsonNode? Node(string name) => description[name];
}
