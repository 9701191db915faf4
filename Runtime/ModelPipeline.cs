using PipelineDsl.Recipes;
using PipelineDsl.Runtime.Data;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime;

/// <summary>A recipe with its model: what the generator emits, the build runs and the application loads through.</summary>
public interface IModelPipeline
{
    /// <summary>The recipe, bound and checked by the compiler.</summary>
    Recipe Recipe { get; }

    /// <summary>A new model with the weights its constructor gives it. The caller owns it.</summary>
    nn.Module CreateModule();

    /// <summary>The batches that statistics are collected on.</summary>
    IEnumerable<Batch> CalibrationBatches(DataSource data);

    /// <summary>The batches that quality is measured on.</summary>
    IEnumerable<Batch> EvaluationBatches(DataSource data);

    /// <summary>The model's output for a batch; hooks on the model's members see the data that flows.</summary>
    Tensor Run(nn.Module model, Batch batch);

    /// <summary>The model's own loss on a batch, a scalar that gradients flow from.</summary>
    Tensor Loss(nn.Module model, Batch batch);

    /// <summary>Whether the model uses a table through <c>call</c> alone, so that it may stay narrow in memory.</summary>
    bool IsOnlyLookedUp(string table);
}

/// <summary>The base of generated pipelines; each hook may be overridden in the user's own part of the generated class.</summary>
/// <typeparam name="TModel">The model.</typeparam>
public abstract class ModelPipeline<TModel> : IModelPipeline
    where TModel : nn.Module
{
    /// <inheritdoc/>
    public abstract Recipe Recipe { get; }

    /// <summary>A new model with the weights its constructor gives it. The caller owns it.</summary>
    public abstract TModel CreateModel();

    /// <summary>The batches that statistics are collected on: windows of text, or rows of tensors.</summary>
    public virtual IEnumerable<Batch> CalibrationBatches(DataSource data) => data.CalibrationBatches();

    /// <summary>The batches that quality is measured on.</summary>
    public virtual IEnumerable<Batch> EvaluationBatches(DataSource data) => data.EvaluationBatches();

    /// <summary>The model's output for a batch.</summary>
    public virtual Tensor Run(TModel model, Batch batch) => model switch
    {
        nn.Module<Tensor, Tensor> module => module.call(batch.Input),
        _ => throw new NotSupportedException($"'{typeof(TModel)}' is no Module<Tensor, Tensor>; override {nameof(Run)} in your part of the pipeline class"),
    };

    /// <summary>The model's own loss on a batch: cross-entropy of the scored targets, or the squared error of real-valued ones.</summary>
    public virtual Tensor Loss(TModel model, Batch batch)
    {
        using var output = Run(model, batch);
        return batch.LossOf(output);
    }

    /// <summary>Whether the model uses a table through <c>call</c> alone, so that a low-rank one may stay low-rank in memory; no table unless you say so.</summary>
    /// <remarks>Leave out tables whose weight the model reads itself, as tied output layers do, and those with a maximal norm.</remarks>
    /// <param name="table">The path of an embedding in the model.</param>
    public virtual bool IsOnlyLookedUp(string table) => false;

    nn.Module IModelPipeline.CreateModule() => CreateModel();

    Tensor IModelPipeline.Run(nn.Module model, Batch batch) => Run((TModel)model, batch);

    Tensor IModelPipeline.Loss(nn.Module model, Batch batch) => Loss((TModel)model, batch);
}

/// <summary>Names a pipeline class for the build; written by the generator.</summary>
/// <param name="pipeline">The class, with a constructor without parameters.</param>
[AttributeUsage(AttributeTargets.Assembly, AllowMultiple = true)]
public sealed class PipelineEntryAttribute(Type pipeline) : Attribute
{
    /// <summary>The class.</summary>
    public Type Pipeline { get; } = pipeline;
}
