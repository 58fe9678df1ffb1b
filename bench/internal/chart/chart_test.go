package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/plot"
)

// written is a text in a figure, with where it begins.
type written struct {
	text string
	x, y float64
}

// texts draws a figure and returns what is written in it, in order.
func texts(t *testing.T, draw func() []byte) []written {
	t.Helper()
	svg := draw()
	require.Equal(t, string(svg), string(draw()), "the same data give the same figure")
	if dir := os.Getenv("CHART_DIR"); dir != "" { // to look at them
		require.NoError(t, os.WriteFile(filepath.Join(dir, t.Name()+".svg"), svg, 0o644))
	}
	var all []written
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err, "not well-formed")
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "text" {
			var e struct {
				X    float64 `xml:"x,attr"`
				Y    float64 `xml:"y,attr"`
				Text string  `xml:",chardata"`
			}
			require.NoError(t, d.DecodeElement(&e, &start))
			all = append(all, written{e.Text, e.X, e.Y})
		}
	}
}

// digits is how the tests write values.
func digits(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

func TestBars(t *testing.T) {
	t.Parallel()
	for _, log := range []bool{false, true} {
		f := Figure{Title: "A <hit> & more", Subtitle: "two\nlines", X: Axis{Label: "ns", Log: log, Format: digits}, Note: "a machine"}
		got := map[string]written{}
		for _, w := range texts(t, func() []byte {
			return f.Bars([]Group{
				{Name: "first", Bars: []Bar{{Name: "ours", Value: 120, Lo: 110, Hi: 135, Ours: true}, {Name: "theirs", Value: 4800, Lo: 4800, Hi: 4800}}},
				{Bars: []Bar{{Name: "second", Value: 150, Lo: 150, Hi: 150}}},
			})
		}) {
			got[w.text] = w
		}
		for _, want := range []string{"A <hit> & more", "two", "lines", "ns", "a machine", "first", "ours", "120", "theirs", "4800", "second", "150"} {
			require.Contains(t, got, want)
		}
		require.InDelta(t, got["ours"].y, got["120"].y, 1)
		require.Less(t, got["ours"].x, got["120"].x)
		require.Less(t, got["120"].x, got["150"].x)
		require.Less(t, got["150"].x, got["4800"].x)
		if log {
			require.Contains(t, got, "200")
			require.Contains(t, got, "1000")
		} else {
			require.Contains(t, got, "0")
		}
	}
}

// TestScatter draws two dozen policies, most of them close together and three at one
// place.
func TestScatter(t *testing.T) {
	t.Parallel()
	f := Figure{
		Title: "Misses against imbalance", Subtitle: "a crowd",
		X: Axis{Label: "extra misses", Log: true, Format: digits}, Y: Axis{Label: "imbalance", Log: true, Format: digits},
	}
	var points []Point
	for i := range 24 {
		at := float64(max(i, 2))
		points = append(points, Point{
			Name: "policy number " + strconv.Itoa(i), Ours: i%6 == 0,
			X: 3 * math.Pow(1.09, at*at/12), Y: 5 * math.Pow(1.3, math.Mod(7*at, 13)),
			XErr: 0.2, YErr: 9, // more than some values
		})
	}
	places := map[string]written{}
	for _, w := range texts(t, func() []byte { return f.Scatter(points) }) {
		places[w.text] = w
	}
	for _, p := range points {
		a, ok := places[p.Name]
		require.True(t, ok, p.Name)
		for _, q := range points {
			b, wide := places[q.Name], float64(style(9.5, nil, p.Ours).Width(p.Name))
			require.False(t, q.Name != p.Name && math.Abs(a.y-b.y) < 8 && a.x <= b.x && b.x < a.x+wide, "%q hides %q", p.Name, q.Name)
		}
	}
}

func TestTicks(t *testing.T) {
	t.Parallel()
	named := func(as Axis, lo, hi float64) (names []string) {
		p := plot.New()
		scale(&p.X, as)
		for _, tick := range p.X.Tick.Marker.Ticks(lo, hi) {
			if tick.Label != "" && lo <= tick.Value && tick.Value <= hi {
				names = append(names, tick.Label)
			}
		}
		return names
	}
	require.Equal(t, []string{"0", "50", "100"}, named(Axis{Format: digits}, 0, 110))
	require.Equal(t, []string{"0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"}, named(Axis{Log: true, Format: digits}, 0.015, 3))
	require.Equal(t, []string{"1", "10", "100", "1000", "1e+04", "1e+05"}, named(Axis{Log: true, Format: digits}, 1, 1e5))
}
