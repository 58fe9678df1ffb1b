package peers

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKinds(t *testing.T) {
	t.Parallel()
	for _, k := range Kinds {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			got, ok := KindOf(k.Name)
			require.True(t, ok)
			require.Equal(t, k.Name, got.Name)
			table := k.New(2000, time.Hour)
			defer table.Close()
			if k.Name == Yardstick {
				require.Equal(t, 2, table.Lookup([]string{"a", "b"}))
				return
			}
			keys := Keys(1000)
			for i, key := range keys {
				table.Set(key, []string{"a", "b"}[i%2])
			}
			require.Equal(t, 1000, table.Lookup(keys))
			require.Equal(t, 0, table.Lookup([]string{"who", ""}))
			require.Equal(t, 2, table.Lookup([]string{keys[1], "who", keys[1]}))
			table.Set(keys[0], "b")
			for i, key := range keys {
				target, ok := table.Get(strings.Clone(key))
				require.True(t, ok)
				require.Equal(t, i == 0 || i%2 == 1, target == "b")
			}
			table.Invalidate("b")
			for i, key := range keys {
				_, ok := table.Get(key)
				require.Equal(t, i != 0 && i%2 == 0, ok, "%d", i)
			}
		})
	}
	_, ok := KindOf("nobody's")
	require.False(t, ok)
}

// What the comparison takes for granted: whoever says that sessions expire
// keeps them only as long as they are used. (The others have clocks or
// goroutines of their own, which a test cannot set.)
func TestExpiry(t *testing.T) {
	t.Parallel()
	for _, name := range []string{Ours, Plain, "xsync.Map + expiry", "sync.Map + expiry"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, ok := KindOf(name)
				require.True(t, ok)
				table := k.New(100, time.Minute)
				defer table.Close()
				table.Set("used", "a")
				table.Set("unused", "a")
				for range 3 {
					<-time.After(40 * time.Second)
					require.Equal(t, 1, table.Lookup([]string{"used"}))
				}
				_, ok = table.Get("unused")
				require.False(t, ok)
				<-time.After(61 * time.Second)
				_, ok = table.Get("used")
				require.False(t, ok)
			})
		})
	}
}

func TestConcurrently(t *testing.T) {
	t.Parallel()
	keys := Keys(100)
	for _, k := range Kinds {
		table := k.New(200, time.Hour)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for range 20 {
					table.Lookup(keys)
					table.Set(keys[rand.IntN(100)], []string{"a", "b"}[i%2])
					table.Invalidate("a")
				}
			})
		}
		wg.Wait()
		table.Close()
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, key := range Keys(10_000) {
		require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`, key)
		seen[key] = true
	}
	require.Len(t, seen, 10_000)
}

func TestDistributions(t *testing.T) {
	t.Parallel()
	count := func(keys []string) (times map[string]int, most int) {
		times = map[string]int{}
		for _, key := range keys {
			times[key]++
			most = max(most, times[key])
		}
		return times, most
	}
	uniform := Uniform(1000)
	times, most := count(uniform)
	require.Len(t, times, 1000)
	require.LessOrEqual(t, most, len(uniform)/1000+1)
	require.NotEqual(t, Keys(1000), uniform[:1000], "in random order")
	for _, key := range Keys(1000) {
		require.Contains(t, times, key)
	}
	times, _ = count(Uniform(200_000))
	require.Len(t, times, 200_000)

	zipf := Zipf(100_000)
	times, most = count(zipf)
	require.Greater(t, most, len(zipf)/20, "one is had often")
	require.Greater(t, len(times), 20_000, "and many now and then")
}

func TestWalk(t *testing.T) {
	t.Parallel()
	keys := []string{"a", "b", "c", "d", "e"}
	w := NewWalk(keys, 0)
	require.Equal(t, []string{"a", "b", "c"}, w.Next(3))
	require.Equal(t, []string{"d", "e"}, w.Next(3))
	require.Equal(t, []string{"a", "b", "c", "d", "e"}, w.Next(100))
	require.Equal(t, []string{"a"}, w.Next(1))
	require.Equal(t, []string{"c"}, NewWalk(keys, 1).Next(1))
}
