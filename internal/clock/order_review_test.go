package clock_test

import (
	"sync"
	"testing"

	"github.com/go-affinity/affinity/internal/clock"
)

// Exact says: those who call Now soon after it are not told of an earlier time.
func TestNowIsNotBehindExact(t *testing.T) {
	c := clock.New(false)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			late, busy, worst := 0, 0, int64(0)
			const n = 1_000_000
			for range n {
				if !c.Busy() {
					c.Now()
				} else {
					busy++
				}
				exact := c.Exact()
				if now := c.Now(); now < exact {
					late++
					worst = max(worst, exact-now)
				}
			}
			if late > 0 {
				t.Errorf("told of an earlier time %d times of %d, by %d ns at most", late, n, worst)
			}
		})
	}
	wg.Wait()
}
