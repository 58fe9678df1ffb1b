package result

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		samples []float64
		want    Spread
	}{
		{[]float64{7}, Spread{7, 7, 7, 1}},
		{[]float64{4, 2}, Spread{3, 2.5, 3.5, 2}},
		{[]float64{5, 1, 3}, Spread{3, 2, 4, 3}},
		{[]float64{5, 4, 3, 2, 1}, Spread{3, 2, 4, 5}},
		{[]float64{1, 2, 3, 1000}, Spread{2.5, 1.75, 252.25, 4}},
	} {
		before := append([]float64(nil), tt.samples...)
		require.Equal(t, tt.want, SpreadOf(tt.samples))
		require.Equal(t, before, tt.samples, "left in their order")
	}
	require.Zero(t, SpreadOf(nil))
	require.Equal(t, "-", SpreadOf(nil).String())
	require.Equal(t, "7.00", SpreadOf([]float64{7}).String())
	require.Equal(t, "3.00 [2.00, 4.00]", SpreadOf([]float64{5, 1, 3}).String())
}

// What slows both down in one round does not count.
func TestRatioIsByRound(t *testing.T) {
	t.Parallel()
	a := Row{Samples: []float64{10, 1000, 20}}
	b := Row{Samples: []float64{5, 500, 10, 7}}
	require.Equal(t, Spread{2, 2, 2, 3}, Ratio(a, b))
	require.Equal(t, Spread{10, 7.5, 255, 3}, Difference(a, b))
	require.Zero(t, Ratio(a, Row{}).N)
	require.Equal(t, 0.2, Row{Size: 2, Samples: []float64{10}}.Speed().Median)
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	spread := func(median, q1, q3 float64) Spread { return Spread{median, q1, q3, 9} }
	for _, tt := range []struct {
		v    Verdict
		want string
	}{
		{Verdict{Value: spread(2, 1, 3), Limit: 3, AtMost: true}, "met"},
		{Verdict{Value: spread(2, 1, 3), Limit: 2, AtMost: true}, "met (close)"},
		{Verdict{Value: spread(2, 1, 3), Limit: 1.5, AtMost: true}, "missed (close)"},
		{Verdict{Value: spread(2, 1, 3), Limit: 0.5, AtMost: true}, "missed"},
		{Verdict{Value: spread(2, 1, 3), Limit: 1}, "met"},
		{Verdict{Value: spread(2, 1, 3), Limit: 2}, "met (close)"},
		{Verdict{Value: spread(2, 1, 3), Limit: 4}, "missed"},
		{Verdict{Value: SpreadOf(nil), Limit: 1, AtMost: true}, "missed"},
		{Verdict{Value: SpreadOf(nil), Limit: 1}, "missed"},
	} {
		require.Equal(t, tt.want, tt.v.Word(), "%+v", tt.v)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	run := &Run{
		When: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC), Took: 1.5, Go: "go1", Procs: 2, Quick: true,
		Groups: []Group{{
			Name: "g", Title: "t", Notes: []string{"n"},
			Races: []Race{{Name: "r", Unit: "ns", Rows: []Row{
				{Name: "a", Samples: []float64{1.5, 2}, Size: 3, Allocs: &Allocs{1, 16}},
				{Name: "b", Missing: "why"},
			}}},
		}},
	}
	run.Groups[0].AtMost("x", SpreadOf([]float64{1, 2}), 3, "x", "!")
	run.Groups[0].AtLeast("none", SpreadOf(nil), 3, "ns", "")
	var b bytes.Buffer
	require.NoError(t, run.Write(&b))
	got, err := Read(&b)
	require.NoError(t, err)
	require.Equal(t, run, got)

	g, ok := got.Group("g")
	require.True(t, ok)
	race := g.Races[0]
	require.Equal(t, 3, race.Row("a").Size)
	require.Equal(t, "not measured", race.Row("c").Missing)
	_, ok = got.Group("h")
	require.False(t, ok)
	met, all := run.Met()
	require.Equal(t, []int{1, 2}, []int{met, all})
}

// A file that is damaged or of another version is an error.
func TestReadRefuses(t *testing.T) {
	t.Parallel()
	const whole = `{"go":"go1","groups":[
		{"name":"g","races":[{"name":"r","rows":[{"name":"a","samples":[1]},{"name":"b","missing":"why"}]}]},
		{"name":"h","races":[{"name":"r"},{"name":"s","rows":[{"name":"a","samples":[1]}]}]}
	]}`
	_, err := Read(strings.NewReader(whole))
	require.NoError(t, err)
	for i := range whole {
		_, err := Read(strings.NewReader(whole[:i]))
		require.ErrorContains(t, err, "no result of the speed command", whole[:i])
	}
	change := func(from, to string) string { return strings.Replace(whole, from, to, 1) }
	for text, want := range map[string]string{
		"null":                          "no groups",
		"{}":                            "no groups",
		"[]":                            "array",
		whole + whole:                   "more behind it",
		whole + "}":                     "more behind it",
		change(`go1`, `go1","more":"x`): `"more"`,
		change(`[1]`, `[]`):             `"g" has no figure of "a"`,
		change(`"samples":[1]`, `"missing":"why"`):              `"g" has no figures`,
		`{"groups":[{"name":"g"}]}`:                             `"g" has no figures`,
		`{"groups":[{"name":"g","verdicts":[{"target":"t"}]}]}`: `"g" has no figures`,
	} {
		_, err := Read(strings.NewReader(text))
		require.ErrorContains(t, err, "no result of the speed command", text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	for want, x := range map[string]float64{
		"0": 0, "0.012": 0.0123, "1.23": 1.234, "-1.23": -1.234, "12.3": 12.34, "123": 123.4, "1,234": 1234.4,
		"12,346": 12345.6, "1,234,568": 1234567.8, "-1,234": -1234, "100": 100, "10.0": 10, "0.10": 0.1,
	} {
		require.Equal(t, want, Format(x))
	}
}
