namespace PipelineDsl.Benchmarks; internal static class CordaBenchmark { public static void Run(string[] a){} }
