using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace PipelineDsl.Dsl.Tests;

/// <summary>Checks a value against a JSON schema (draft 2020-12), for the keywords that the schemas here use; any other keyword throws.</summary>
internal static class JsonSchemaValidator
{
    /// <summary>What is wrong with the value, each with the path to it; nothing when it is valid.</summary>
    /// <exception cref="NotSupportedException">The schema holds a keyword that is not known here.</exception>
    public static IReadOnlyList<string> Check(JsonNode schema, JsonNode? value) => [.. Problems(schema, value, "")];

    private static IEnumerable<string> Problems(JsonNode schema, JsonNode? value, string path) => schema is JsonValue constant
        ? constant.GetValue<bool>() ? [] : [$"{path} is not allowed"]
        : schema.AsObject().SelectMany(keyword => Problems(schema.AsObject(), keyword.Key, keyword.Value!, value, path));

    private static IEnumerable<string> Problems(JsonObject schema, string keyword, JsonNode argument, JsonNode? value, string path)
    {
        return keyword switch
        {
            "$schema" or "title" or "description" or "default" or "deprecated" or "then" or "else" => [],
            "$ref" => Problems(Referred(argument), value, path),
            "type" => Unless((argument as IEnumerable<JsonNode?> ?? [argument]).Any(kind => IsOf(kind!.GetValue<string>(), value))),
            "enum" => Unless(argument.AsArray().Any(choice => JsonNode.DeepEquals(Normal(choice), Normal(value)))),
            "pattern" => Unless(Text(value) is not { } text || Regex.IsMatch(text, Pattern(argument.GetValue<string>()), RegexOptions.ECMAScript)),
            "minLength" => Unless(Text(value) is not { } text || text.Length >= Number(argument)),
            "minimum" => Unless(!IsNumber(value) || Number(value) >= Number(argument)),
            "exclusiveMinimum" => Unless(!IsNumber(value) || Number(value) > Number(argument)),
            "maximum" => Unless(!IsNumber(value) || Number(value) <= Number(argument)),
            "minItems" => Unless(value is not JsonArray list || list.Count >= Number(argument)),
            "uniqueItems" => Unless(value is not JsonArray list || list.Select(item => item?.ToJsonString()).Distinct().Count() == list.Count),
            "items" => value is JsonArray list ? list.SelectMany((item, i) => Problems(argument, item, $"{path}/{i}")) : [],
            "minProperties" => Unless(value is not JsonObject map || map.Count >= Number(argument)),
            "maxProperties" => Unless(value is not JsonObject map || map.Count <= Number(argument)),
            "required" => value is JsonObject map ? argument.AsArray().Select(key => key!.GetValue<string>()).Where(key => !map.ContainsKey(key)).Select(key => $"{path} has no '{key}'") : [],
            "properties" => value is JsonObject map ? argument.AsObject().Where(property => map.ContainsKey(property.Key)).SelectMany(property => Problems(property.Value!, map[property.Key], $"{path}/{property.Key}")) : [],
            "additionalProperties" => value is JsonObject map ? map.Where(member => schema["properties"]?[member.Key] is null).SelectMany(member => Problems(argument, member.Value, $"{path}/{member.Key}")) : [],
            "if" => schema[IsValid(argument, value) ? "then" : "else"] is { } consequence ? Problems(consequence, value, path) : [],
            "allOf" => argument.AsArray().SelectMany(part => Problems(part!, value, path)),
            "anyOf" => Unless(argument.AsArray().Any(part => IsValid(part!, value))),
            "oneOf" => Unless(argument.AsArray().Count(part => IsValid(part!, value)) == 1),
            "not" => Unless(!IsValid(argument, value)),
            _ => throw new NotSupportedException($"the schema uses '{keyword}'"),
        };

        string[] Unless(bool valid) => valid ? [] : [$"{path} breaks '{keyword}'"];
    }

    /// <summary>The part of the same schema that a pointer such as <c>#/properties/a</c> leads to.</summary>
    private static JsonNode Referred(JsonNode pointer) => pointer.GetValue<string>().Split('/').Skip(1)
        .Aggregate(pointer.Root, (part, name) => part[name] ?? throw new InvalidOperationException($"the schema has no '{pointer}'"));

    /// <summary>To .NET <c>$</c> also stands before a last line end, to JavaScript it does not.</summary>
    private static string Pattern(string pattern) => pattern.EndsWith('$') ? pattern[..^1] + @"(?![\s\S])" : pattern;

    private static bool IsValid(JsonNode schema, JsonNode? value) => !Problems(schema, value, "").Any();

    private static bool IsOf(string type, JsonNode? value) => type switch
    {
        "null" => value is null,
        "object" => value is JsonObject,
        "array" => value is JsonArray,
        "string" => Text(value) is not null,
        "boolean" => value?.GetValueKind() is JsonValueKind.True or JsonValueKind.False,
        "number" => IsNumber(value),
        "integer" => IsNumber(value) && Math.Floor(Number(value)) == Number(value),
        _ => throw new NotSupportedException($"the schema uses the type '{type}'"),
    };

    private static string? Text(JsonNode? value) => value?.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : null;

    private static bool IsNumber(JsonNode? value) => value?.GetValueKind() == JsonValueKind.Number;

    private static double Number(JsonNode? value) => double.Parse(value!.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>1 and 1.0 are one value.</summary>
    private static JsonNode? Normal(JsonNode? value) => IsNumber(value) ? JsonValue.Create(Number(value)) : value;
}
