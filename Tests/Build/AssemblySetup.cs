using PipelineDsl.Build.Tests;

// One collection: builds run one after the other.
[assembly: AssemblyFixture(typeof(Product))]
[assembly: CollectionBehavior(CollectionBehavior.CollectionPerAssembly)]
