using System.Text.Json;

namespace PipelineDsl.Tasks.Tests;

public sealed class JsonTextTests
{
    [Fact]
    public void Every_value_reads_back_as_it_was_written()
    {
        string odd = "C:\\models \"größe\"\t\n\u0001 日本";
        string json = new JsonText().Add("text", odd).Add("number", -7).Add("yes", true).Add("list", [odd, ""]).ToString();

        using var document = JsonDocument.Parse(json);
        JsonElement root = document.RootElement;
        root.GetProperty("text").GetString().ShouldBe(odd);
        root.GetProperty("number").GetInt32().ShouldBe(-7);
        root.GetProperty("yes").GetBoolean().ShouldBeTrue();
        root.GetProperty("list").EnumerateArray().Select(item => item.GetString()).ShouldBe([odd, ""]);
    }

    [Fact]
    public void An_empty_list_is_an_empty_array() =>
        new JsonText().Add("recipes", []).ToString().ShouldBe("{\n  \"recipes\": []\n}\n");
}
