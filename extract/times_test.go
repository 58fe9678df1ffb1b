package extract

import (
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
)

func TestWithoutTimes(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("No time: none. ", 200)
	digest := func(text string) uint64 { return withoutTimes([]byte(text), xxhash.Sum64String(text)) }
	for _, text := range []string{
		"9:05", "09:05", "23:59:59", "0:00:00.123456", "It is 9:05.", "2026-11-28T09:05:01.5Z", "at 9:05 PM, or 10:00", "(9:05)", "9:05:", ":9:05", `\n9:05\n`, "9:05\u00a0Uhr",
	} {
		later := []byte(text)
		for i, c := range later {
			if i > 0 && c == '5' {
				later[i] = '6'
			}
		}
		require.NotEqual(t, xxhash.Sum64String(text), digest(text), text)
		require.Equal(t, digest(text), digest(string(later)), text)
	}
	require.Equal(t, digest("a 9:05 b 17:30:00.25 c"), digest("a 10:15 b 1:02:03.5 c"))
	for _, text := range []string{
		"", ":", "9:", ":05", "9:5", "9:055", "123:45", "a:05", "http://x:8080", "a: 05", "::", "16:9", "9:0", "Be kind.", "9.05", "09:a5",
	} {
		require.Equal(t, xxhash.Sum64String(text), digest(text), text)
	}
	for _, near := range []string{"9:05" + long, long + "9:05", "9:05" + long[1000:] + "9:05"} {
		require.Equal(t, digest(near), digest(strings.ReplaceAll(near, "9:05", "17:30")))
	}
	for _, around := range []string{long, strings.ReplaceAll(long, ":", ",")} {
		middle := around + "9:05" + around
		require.Equal(t, xxhash.Sum64String(middle), digest(middle), "in the middle")
		require.Equal(t, digest("9:05"+middle), digest("9:06"+middle))
	}
	for _, other := range []string{"a 9:05 c", "b 9:05", "9:05 b", "a 9:05  b", "a 9:05 9:05 b", "a : b", "a  b", "a 9:05x b"} {
		require.NotEqual(t, digest("a 9:05 b"), digest(other), other)
	}
}
