package balance

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChoiceIsTheLowestScore(t *testing.T) {
	t.Parallel()
	inf := math.Inf(1)
	for name, test := range map[string]struct {
		scores []float64
		lowest []int // each equally likely
	}{
		"first":                      {[]float64{1, 2, 3}, []int{0}},
		"in the middle":              {[]float64{2, 1, 3}, []int{1}},
		"last":                       {[]float64{3, 2, 1}, []int{2}},
		"a tie undercut":             {[]float64{30, 30, 20, 20, 10}, []int{4}},
		"a tie undercut by a tie":    {[]float64{30, 30, 30, 20, 20}, []int{3, 4}},
		"a tie behind a higher one":  {[]float64{30, 20, 30, 20}, []int{1, 3}},
		"all equal":                  {[]float64{7, 7, 7, 7, 7}, []int{0, 1, 2, 3, 4}},
		"negative":                   {[]float64{0, -1}, []int{1}},
		"infinite, all of them":      {[]float64{inf, inf, inf}, []int{0, 1, 2}},
		"infinite, and not so":       {[]float64{inf, 1e300}, []int{1}},
		"infinite, below everything": {[]float64{0, -inf, -1e300}, []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 5000
			counts := map[int]float64{}
			for range n {
				var c choice
				for i, score := range test.scores {
					c.offer(i, score)
				}
				counts[c.i]++
			}
			require.Len(t, counts, len(test.lowest))
			for _, i := range test.lowest {
				share := n / float64(len(test.lowest))
				require.InDelta(t, share, counts[i], share/5, "seven standard deviations: %v", counts)
			}
		})
	}
}
