using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;

namespace PipelineDsl.Recipes.Schema;

/// <summary>A JSON object whose members keep their order: no JSON library has a place in the compiler.</summary>
internal sealed class SchemaObject : IEnumerable<KeyValuePair<string, object>>
{
    private readonly List<KeyValuePair<string, object>> members = [];

    /// <summary>Adds a member: a text, a number, a truth value, an object, or a list of these.</summary>
    public void Add(string name, object value) => members.Add(new(name, value));

    /// <summary>Adds every member of another object.</summary>
    public void Add(SchemaObject others) => members.AddRange(others.members);

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, object>> GetEnumerator() => members.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>The object as JSON of two spaces a level.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        Write(text, this, "\n");
        return text.Append('\n').ToString();
    }

    private static void Write(StringBuilder text, object value, string newLine)
    {
        switch (value)
        {
            case string written:
                Quote(text, written);
                break;
            case bool flag:
                text.Append(flag ? "true" : "false");
                break;
            case SchemaObject { members.Count: 1 } pair when IsFlat(pair.members[0].Value):
                text.Append("{ ");
                WriteMember(text, pair.members[0], newLine);
                text.Append(" }");
                break;
            case SchemaObject map:
                WriteItems(text, "{}", map.members, newLine, member => WriteMember(text, member, newLine + "  "));
                break;
            case IEnumerable<object> list when !IsFlat(list):
                WriteItems(text, "[]", [.. list], newLine, item => Write(text, item, newLine + "  "));
                break;
            case IEnumerable list:
                text.Append('[');
                string separator = "";
                foreach (object item in list)
                {
                    text.Append(separator);
                    Write(text, item, newLine);
                    separator = ", ";
                }

                text.Append(']');
                break;
            default:
                text.Append(((IFormattable)value).ToString("R", CultureInfo.InvariantCulture));
                break;
        }
    }

    /// <summary>Whether a value needs no lines of its own.</summary>
    private static bool IsFlat(object value) => value is not SchemaObject && !(value is IEnumerable<object> list && list.Any(item => item is SchemaObject));

    private static void WriteMember(StringBuilder text, KeyValuePair<string, object> member, string newLine)
    {
        Quote(text, member.Key);
        text.Append(": ");
        Write(text, member.Value, newLine);
    }

    private static void WriteItems<T>(StringBuilder text, string brackets, List<T> items, string newLine, Action<T> write)
    {
        text.Append(brackets[0]);
        for (int i = 0; i < items.Count; i++)
        {
            text.Append(i == 0 ? "" : ",").Append(newLine).Append("  ");
            write(items[i]);
        }

        text.Append(items.Count == 0 ? "" : newLine).Append(brackets[1]);
    }

    private static void Quote(StringBuilder text, string value)
    {
        text.Append('"');
        foreach (char c in value)
        {
            text.Append(c switch { '"' => "\\\"", '\\' => "\\\\", < ' ' => "\\u" + ((int)c).ToString("x4", CultureInfo.InvariantCulture), _ => c.ToString() });
        }

        text.Append('"');
    }
}
