package trace_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/bench/internal/trace"
)

func TestGenerateIsSeeded(t *testing.T) {
	for _, name := range trace.Names() {
		a, err := trace.Generate(name, 7)
		require.NoError(t, err)
		b, err := trace.Generate(name, 7)
		require.NoError(t, err)
		require.Equal(t, a, b)
		c, err := trace.Generate(name, 8)
		require.NoError(t, err)
		require.NotEqual(t, a.Requests, c.Requests)
	}
	_, err := trace.Generate("nobody", 1)
	require.Error(t, err)
}

// real are the figures of the real traces. TestDescribe checks them where the
// traces are present.
var real = map[string]trace.Description{
	"cc6": {
		Requests: 26750, Sessions: 494, Turns: 54.1, MedianTurns: 38, Prompt: 90730, MedianPrompt: 89197, FirstPrompt: 39618,
		Output: 405.6, Took: 8.64, MedianGap: 15, LongGaps: 0.0467, Reused: 0.9581, SharedFirst: 0.3682, Groups: 102, ShrinkShare: 0.0429,
	},
	"mooncake_conv": {
		Requests: 12031, Sessions: 7373, Turns: 1.632, MedianTurns: 1, Prompt: 12035, MedianPrompt: 6909, FirstPrompt: 10765,
		Output: 342.6, Took: 7.15, MedianGap: 123, LongGaps: 0.2128, Reused: 0.3736, SharedFirst: 0.0476, Groups: 7373, ShrinkShare: 0.0788,
	},
	"tau_airline": {
		Requests: 2454, Sessions: 200, Turns: 12.27, MedianTurns: 11, Prompt: 2824, MedianPrompt: 2489, FirstPrompt: 1565,
		Output: 74, Took: 1.98, MedianGap: 7.1, LongGaps: 0, Reused: 0.9333, SharedFirst: 0.9766, Groups: 3, ShrinkShare: 0,
	},
}

// figures returns what is compared, by name.
func figures(d trace.Description) map[string]float64 {
	return map[string]float64{
		"requests": float64(d.Requests), "sessions": float64(d.Sessions), "turns": d.Turns, "median turns": d.MedianTurns,
		"prompt": d.Prompt, "median prompt": d.MedianPrompt, "first prompt": d.FirstPrompt, "output": d.Output, "took": d.Took,
		"median gap": d.MedianGap, "long gaps": d.LongGaps, "reused": d.Reused, "missed": 1 - d.Reused,
		"shared first": d.SharedFirst, "groups": float64(d.Groups), "shrinking": d.ShrinkShare,
	}
}

func TestDescribe(t *testing.T) {
	dir := os.Getenv("AFFINITY_TRACES")
	if dir == "" {
		dir = "../../../../shared/traces"
	}
	for name, want := range real {
		got, err := trace.Open(filepath.Join(dir, name+".tsv.gz"))
		if os.IsNotExist(err) {
			t.Skip("the traces are not here")
		}
		require.NoError(t, err)
		for what, v := range figures(trace.Describe(got)) {
			require.InEpsilon(t, figures(want)[what]+1e-9, v+1e-9, 0.01, "%s of %s", what, name)
		}
	}
}

// TestFit compares generated traces with the real ones.
func TestFit(t *testing.T) {
	// How far off a figure may be, where that is not a fifth.
	loose := map[string]float64{
		"median turns": 0.35,
		"shrinking":    0.5,
		"groups":       0.6,
		"shared first": 0.25,
		"missed":       0.3,
	}
	const seeds = 3
	for _, name := range trace.Names() {
		mean := map[string]float64{}
		for seed := range uint64(seeds) {
			g, err := trace.Generate(name, seed+1)
			require.NoError(t, err)
			for what, v := range figures(trace.Describe(g)) {
				mean[what] += v / seeds
			}
		}
		for what, want := range figures(real[name]) {
			t.Logf("%-14s %-14s real %10.4g  generated %10.4g", name, what, want, mean[what])
			tolerance := 0.2
			if l, ok := loose[what]; ok {
				tolerance = l
			}
			if want == 0 {
				require.Zero(t, mean[what], "%s of %s", what, name)
				continue
			}
			require.InEpsilon(t, want, mean[what], tolerance, "%s of %s", what, name)
		}
	}
}
