namespace PipelineDsl.Benchmarks; internal static class OrientationsBenchmark { public static void Run(string[] a){} }
