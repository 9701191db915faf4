using System.Globalization;
using System.Text;

namespace PipelineDsl.Tasks;

/// <summary>Writes one flat JSON object: all that a request needs, so that the task carries no JSON library into MSBuild.</summary>
internal sealed class JsonText
{
    private readonly List<string> members = [];

    public JsonText Add(string name, string value) => AddRaw(name, Quote(value));

    public JsonText Add(string name, int value) => AddRaw(name, value.ToString(CultureInfo.InvariantCulture));

    public JsonText Add(string name, bool value) => AddRaw(name, value ? "true" : "false");

    public JsonText Add(string name, IEnumerable<string> values) => AddRaw(name, $"[{string.Join(", ", values.Select(Quote))}]");

    public override string ToString() => "{\n  " + string.Join(",\n  ", members) + "\n}\n";

    private static string Quote(string value)
    {
        var text = new StringBuilder("\"");
        foreach (char c in value)
        {
            text.Append(c switch
            {
                '"' => "\\\"",
                '\\' => "\\\\",
                < ' ' => $"\\u{(int)c:x4}",
                _ => c.ToString(),
            });
        }

        return text.Append('"').ToString();
    }

    private JsonText AddRaw(string name, string value)
    {
        members.Add($"{Quote(name)}: {value}");
        return this;
    }
}
