using System.Reflection;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Schema;
using PipelineDsl.Dsl.Tests;
using PipelineDsl.Runtime.Report;

namespace PipelineDsl.Runtime.Tests.Report;

/// <summary>Writes the JSON schema (draft 2020-12) of <c>report.json</c>, read off the records that are written and their documentation.</summary>
internal static class ReportSchema
{
    private static readonly JsonSerializerOptions Text = new() { WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Write()
    {
        var schema = JsonReport.Options.GetJsonSchemaAsNode(typeof(ReportDocument), new() { TreatNullObliviousAsNonNullable = true, TransformSchemaNode = Describe }).AsObject();
        schema.Insert(0, "$schema", "https://json-schema.org/draft/2020-12/schema");
        schema.Insert(1, "title", "PipelineDsl report");
        schema["properties"]!["schema"]!["enum"] = new JsonArray(ReportDocument.CurrentSchema);
        return schema.ToJsonString(Text) + "\n";
    }

    private static JsonObject Describe(JsonSchemaExporterContext context, JsonNode schema)
    {
        // What has a converter of its own has no schema: numbers, where one that is not finite is null.
        var described = schema is JsonObject known ? known : Nullable.GetUnderlyingType(context.TypeInfo.Type) == typeof(double) || context.TypeInfo.Type == typeof(double)
            ? new JsonObject { ["type"] = new JsonArray("number", "null") }
            : throw new NotSupportedException($"{context.TypeInfo.Type} has no schema");
        if (context.PropertyInfo?.AttributeProvider is PropertyInfo property)
        {
            described.Insert(0, "description", Documentation.Property(property));
        }

        return described;
    }
}
