using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Weights;

public sealed class DamagedDescriptionTests
{
    public static TheoryData<string> Names => Forms.Names;

    [Theory]
    [InlineData("""{}""")]
    [InlineData("""{"form":"riddle","rows":1,"columns":1}""")]
    [InlineData("""{"form":7,"rows":1,"columns":1}""")]
    [InlineData("""{"form":"dense","rows":2}""")]
    [InlineData("""{"form":"dense","rows":"2","columns":2}""")]
    [InlineData("""{"form":"dense","rows":2.5,"columns":2}""")]
    [InlineData("""{"form":"dense","rows":-2,"columns":2}""")]
    [InlineData("""{"form":"dense","rows":9223372036854775807,"columns":9223372036854775807}""")]
    [InlineData("""{"form":"dense","rows":2,"columns":2,"columns":3}""")]
    [InlineData("""{"form":"product","rows":2,"columns":2}""")]
    [InlineData("""{"form":"product","rows":2,"columns":2,"left":[],"right":null}""")]
    [InlineData("""{"form":"sum","rows":2,"columns":2,"terms":[]}""")]
    [InlineData("""{"form":"sum","rows":2,"columns":2,"terms":{}}""")]
    [InlineData("""{"form":"sum","rows":2,"columns":2,"terms":[null]}""")]
    [InlineData("""{"form":"scaled","rows":2,"columns":2,"factor":1,"scalesRows":false}""")]
    [InlineData("""{"form":"shifted","rows":2,"columns":2}""")]
    [InlineData("""{"form":"spatial","rows":3,"columns":3,"height":0,"width":1,"inner":{"form":"dense","rows":3,"columns":3}}""")]
    [InlineData("""{"form":"spatial","rows":3,"columns":3,"height":2,"width":1,"inner":{"form":"dense","rows":3,"columns":3}}""")]
    [InlineData("""{"form":"grid","rows":2,"columns":2}""")]
    [InlineData("""{"form":"grid","rows":2,"columns":2,"bits":1,"granularity":"channel","groupSize":2,"signed":true}""")]
    [InlineData("""{"form":"grid","rows":2,"columns":2,"bits":99999999999,"granularity":"channel","groupSize":2,"signed":true}""")]
    [InlineData("""{"form":"grid","rows":2,"columns":2,"bits":4,"granularity":"galaxy","groupSize":2,"signed":true}""")]
    [InlineData("""{"form":"grid","rows":2,"columns":2,"bits":4,"granularity":"group","groupSize":0,"signed":true}""")]
    [InlineData("""{"form":"grid","rows":9223372036854775807,"columns":9223372036854775807,"bits":8,"granularity":"group","groupSize":1,"signed":true}""")]
    [InlineData("""{"form":"codebook","rows":2,"columns":2,"codewords":0,"width":1,"perRow":false}""")]
    [InlineData("""{"form":"codebook","rows":2,"columns":3,"codewords":4,"width":2,"perRow":false}""")]
    [InlineData("""{"form":"codebook","rows":2,"columns":9223372036854775807,"codewords":65537,"width":1,"perRow":true}""")]
    [InlineData("""{"form":"sparse","rows":3,"columns":3,"count":-1}""")]
    [InlineData("""{"form":"sparse","rows":9223372036854775807,"columns":9223372036854775807,"count":9223372036854775807}""")]
    [InlineData("""{"form":"quantizedInputs","rows":3,"columns":3,"format":"int5","groupSize":4,"hasOffset":false,"inner":{"form":"dense","rows":3,"columns":3}}""")]
    [InlineData("""{"form":"quantizedInputs","rows":3,"columns":3,"format":"int4","groupSize":0,"hasOffset":false,"inner":{"form":"dense","rows":3,"columns":3}}""")]
    [InlineData("""{"form":"quantizedInputs","rows":3,"columns":3,"format":"int4","groupSize":4,"hasOffset":true,"inner":{"form":"dense","rows":3,"columns":3}}""")]
    [InlineData("""{"form":"reshaped","rows":2,"columns":2,"inner":{"form":"dense","rows":3,"columns":3}}""")]
    [InlineData("""{"form":"reshaped","rows":9223372036854775807,"columns":9223372036854775807,"inner":{"form":"dense","rows":3,"columns":3}}""")]
    [InlineData("""{"form":"permuted","rows":3,"columns":3,"inner":{"form":"dense","rows":3,"columns":3}}""")]
    public void A_damaged_description_is_refused(string text) =>
        Should.Throw<InvalidDataException>(() => Expression.Read(JsonNode.Parse(text)!.AsObject(), _ => zeros(3, 3)));

    [Theory]
    [MemberData(nameof(Names))]
    public void A_leaf_of_another_shape_is_named_and_nothing_stays_alive(string name)
    {
        using var form = Forms.Make(name);
        foreach (string damaged in form.Leaves().Select(leaf => leaf.Name))
        {
            long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
            var leaves = ExpressionTests.Leaves(form);
            Should.Throw<InvalidDataException>(() => Expression.Read(form.Describe(), leaf => leaf == damaged ? zeros(13, 17, 2) : leaves(leaf))).Message.ShouldContain($"'{damaged}'");
            DisposeScopeManager.Statistics.ThreadTotalLiveCount.ShouldBe(before);
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_leaf_of_another_dtype_is_named(string name)
    {
        using var form = Forms.Make(name);
        foreach (var (damaged, tensor) in form.Leaves())
        {
            var leaves = ExpressionTests.Leaves(form);
            Should.Throw<InvalidDataException>(() => Expression.Read(form.Describe(), leaf => leaf == damaged ? tensor.to(tensor.dtype == int32 ? int64 : int32) : leaves(leaf))).Message.ShouldContain($"'{damaged}'");
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_missing_leaf_or_key_is_refused(string name)
    {
        using var form = Forms.Make(name);
        Should.Throw<InvalidDataException>(() => Expression.Read(form.Describe(), leaf => throw new InvalidDataException($"no leaf '{leaf}'")));
        foreach (string key in form.Describe().Select(pair => pair.Key).ToList())
        {
            var description = form.Describe();
            description.Remove(key);
            Should.Throw<InvalidDataException>(() => Expression.Read(description, ExpressionTests.Leaves(form)));
        }
    }

    [Fact]
    public void Endless_nesting_is_refused()
    {
        var description = new JsonObject { ["form"] = "dense", ["rows"] = 2, ["columns"] = 2 };
        for (int depth = 0; depth < 1000; depth++)
        {
            description = new JsonObject { ["form"] = "sum", ["rows"] = 2, ["columns"] = 2, ["terms"] = new JsonArray(description) };
        }

        Should.Throw<InvalidDataException>(() => Expression.Read(description, _ => zeros(2, 2)));
    }
}
