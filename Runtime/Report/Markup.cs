using System.Text;
using System.Xml;
using System.Xml.Linq;

namespace PipelineDsl.Runtime.Report;

/// <summary>Builds markup that is valid both as HTML and as XML; text is escaped by construction.</summary>
internal static class Markup
{
    private static readonly string[] VoidElements = ["meta", "wbr"];

    /// <summary>An element, such as <c>E("td.num", A("data-value", "3"), "3 B")</c>; what follows a dot is its class.</summary>
    public static XElement E(string name, params object?[] content)
    {
        string[] parts = name.Split('.', 2);
        var element = new XElement(parts[0]);
        if (parts.Length == 2)
        {
            element.Add(A("class", parts[1].Replace('.', ' ')));
        }

        Fill(element, content);

        // A browser reads <td/> as an opening tag; an empty text makes the writer close it.
        if (element.IsEmpty && !VoidElements.Contains(parts[0]))
        {
            element.Add("");
        }

        return element;
    }

    private static void Fill(XElement element, IEnumerable<object?> content)
    {
        foreach (object? item in content)
        {
            if (item is IEnumerable<object?> items and not XElement)
            {
                Fill(element, items);
            }
            else
            {
                element.Add(item is string text ? Clean(text) : item);
            }
        }
    }

    /// <summary>An attribute.</summary>
    public static XAttribute A(string name, string value) => new(name, Clean(value));

    /// <summary>A dotted path that may be broken behind its dots, its last part set apart.</summary>
    public static object[] Dotted(ReportLayer layer) =>
        [E("span.stem", layer.Stem.Split('.').SkipLast(1).Select(part => new object[] { part + ".", E("wbr") })), layer.Name];

    /// <summary>Positions and lengths of a drawn element.</summary>
    public static IEnumerable<XAttribute> At(params (string Name, double Value)[] places) =>
        places.Select(place => A(place.Name, Figures.Coordinate(place.Value)));

    /// <summary>An element whose text a browser reads as it is: a style sheet or a script.</summary>
    public static XElement Raw(string name, string text) => new(name, new XText("/*"), new XCData("*/\n" + text + "/*"), new XText("*/"));

    /// <summary>The file's text.</summary>
    public static string Document(XElement html)
    {
        var text = new StringBuilder("<!DOCTYPE html>\n");
        using (var writer = XmlWriter.Create(text, new() { OmitXmlDeclaration = true, NewLineHandling = NewLineHandling.None }))
        {
            html.WriteTo(writer);
        }

        return text.Append('\n').ToString();
    }

    /// <summary>Replaces what XML cannot hold (control characters, half surrogates).</summary>
    private static string Clean(string text)
    {
        var clean = new StringBuilder(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            if (i + 1 < text.Length && char.IsSurrogatePair(text[i], text[i + 1]))
            {
                clean.Append(text, i++, 2);
            }
            else
            {
                clean.Append(XmlConvert.IsXmlChar(text[i]) ? text[i] : '\uFFFD');
            }
        }

        return clean.ToString();
    }
}
