namespace PipelineDsl.Runtime.Analysis;

/// <summary>How well one singular component of an earlier head is read.</summary>
/// <param name="Component">Its number in the writer's OV, by falling singular value.</param>
/// <param name="SingularValue">s_i of OV, on which the score does not depend.</param>
/// <param name="Score">‖v_iᵀ M‖ / ‖M‖, M the reader's circuit; 0 to 1.</param>
/// <param name="ZScore">The score's distance from the mean of all components of all pairs of this type, in standard deviations.</param>
public sealed record ComponentScore(int Component, double SingularValue, double Score, double ZScore);
