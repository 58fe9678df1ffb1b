package chart

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestArrange places labels of points that are as close as they get.
func TestArrange(t *testing.T) {
	var marks []mark
	for i := range 9 {
		marks = append(marks, mark{
			Point: Point{Name: "some policy"}, r: 4.5, font: font{size: 11.5},
			cx: 300 + 14*float64(i%3), cy: 300 + 14*float64(i/3),
		})
	}
	frame := box{0, 0, 800, 600}
	labels := arrange(marks, frame)
	for i, a := range labels {
		require.InDelta(t, 0, a.outside(frame), 1e-9)
		for j, b := range labels {
			if i != j {
				require.Zero(t, a.overlap(b), "labels %d and %d", i, j)
			}
		}
		for j, m := range marks {
			require.Zero(t, a.overlap(box{m.cx - m.r, m.cy - m.r, 2 * m.r, 2 * m.r}), "label %d over point %d", i, j)
		}
	}
}

func TestTicks(t *testing.T) {
	require.Equal(t, []float64{0, 20, 40, 60, 80, 100}, scale{lo: 0, hi: 100}.ticks(7))
	require.Equal(t, []float64{1, 2, 5, 10, 20}, scale{lo: 0.9, hi: 30, log: true}.ticks(7))
	require.Equal(t, []float64{1, 10, 100, 1000, 10000}, scale{lo: 1, hi: 10000, log: true}.ticks(5))
}
