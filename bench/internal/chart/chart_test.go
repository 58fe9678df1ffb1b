package chart_test

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

	"github.com/go-affinity/affinity/bench/internal/chart"
)

// texts draws a figure and returns what is written in it, in order.
func texts(t *testing.T, draw func(w io.Writer) error) []string {
	t.Helper()
	var buf, again bytes.Buffer
	require.NoError(t, draw(&buf))
	require.NoError(t, draw(&again))
	require.Equal(t, buf.String(), again.String(), "the same data give the same figure")
	if dir := os.Getenv("CHART_DIR"); dir != "" { // to look at them
		require.NoError(t, os.WriteFile(filepath.Join(dir, t.Name()+".svg"), buf.Bytes(), 0o644))
	}

	var all []string
	in := ""
	for d := xml.NewDecoder(&buf); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err, "not well-formed")
		switch token := token.(type) {
		case xml.StartElement:
			in = token.Name.Local
			for _, a := range token.Attr {
				switch a.Name.Local {
				case "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height":
					v, err := strconv.ParseFloat(a.Value, 64)
					require.NoError(t, err)
					require.True(t, v >= 0 && v < 2000, "%s of %s is %v", a.Name.Local, in, v)
				}
			}
		case xml.EndElement:
			in = ""
		case xml.CharData:
			if in == "text" {
				all = append(all, string(token))
			}
		}
	}
}

// digits is how the tests write values.
func digits(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

func TestBars(t *testing.T) {
	got := texts(t, func(w io.Writer) error {
		return chart.Bars(w, chart.BarChart{
			Title: "A <hit> & more", Subtitle: "two\nlines", Axis: "ns", Note: "a machine", Format: digits,
			Groups: []chart.BarGroup{
				{Name: "first", Bars: []chart.Bar{{Name: "ours", Value: 120, Lo: 110, Hi: 135, Ours: true}, {Name: "theirs", Value: 480}}},
				{Name: "second", Bars: []chart.Bar{{Name: "nothing", Value: 0}}},
			},
		})
	})
	for _, want := range []string{"A <hit> & more", "two", "lines", "ns", "a machine", "first", "second", "ours", "120", "480", "0"} {
		require.Contains(t, got, want)
	}
}

func TestBarsLog(t *testing.T) {
	got := texts(t, func(w io.Writer) error {
		return chart.Bars(w, chart.BarChart{Log: true, Format: digits, Groups: []chart.BarGroup{{Bars: []chart.Bar{{Name: "a", Value: 1}, {Name: "b", Value: 5000}}}}})
	})
	require.Contains(t, got, "1000")
	require.Contains(t, got, "a")
}

func TestBarsRefuse(t *testing.T) {
	for name, c := range map[string]chart.BarChart{
		"nothing":     {},
		"NaN":         {Groups: []chart.BarGroup{{Bars: []chart.Bar{{Value: math.NaN()}}}}},
		"negative":    {Groups: []chart.BarGroup{{Bars: []chart.Bar{{Value: -1}}}}},
		"zero in log": {Log: true, Groups: []chart.BarGroup{{Bars: []chart.Bar{{Value: 0}}}}},
	} {
		c.Format = digits
		require.Error(t, chart.Bars(io.Discard, c), name)
	}
}

// crowd is a figure with two dozen policies, most of them close together.
func crowd() chart.ScatterChart {
	c := chart.ScatterChart{
		Title: "Misses against imbalance", Subtitle: "a crowd",
		X: chart.Axis{Label: "extra misses", Lo: 2, Hi: 200, Format: digits},
		Y: chart.Axis{Label: "imbalance", Lo: 1, Hi: 2000, Format: digits},
	}
	for i := range 24 {
		f := float64(i)
		c.Points = append(c.Points, chart.Point{
			Name: "policy number " + strconv.Itoa(i), Ours: i%6 == 0,
			X: 3 * math.Pow(1.09, f*f/12), Y: 5 * math.Pow(1.3, math.Mod(7*f, 13)),
			XErr: 0.2,
		})
	}
	return c
}

func TestScatter(t *testing.T) {
	c := crowd()
	got := texts(t, func(w io.Writer) error { return chart.Scatter(w, c) })
	for _, p := range c.Points {
		require.Contains(t, got, p.Name)
	}
}

func TestScatterRefuses(t *testing.T) {
	for name, spoil := range map[string]func(c *chart.ScatterChart){
		"no points":      func(c *chart.ScatterChart) { c.Points = nil },
		"far off":        func(c *chart.ScatterChart) { c.Points[3].X = math.Inf(1) },
		"nowhere":        func(c *chart.ScatterChart) { c.Points[3].Y = math.NaN() },
		"axis at zero":   func(c *chart.ScatterChart) { c.X.Lo = 0 },
		"without length": func(c *chart.ScatterChart) { c.Y.Hi = 1 },
	} {
		c := crowd()
		spoil(&c)
		require.Error(t, chart.Scatter(io.Discard, c), name)
	}
}

// failing is a writer that is full after n bytes.
type failing struct{ n int }

func (f *failing) Write(p []byte) (int, error) {
	if f.n -= len(p); f.n < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestWriteError(t *testing.T) {
	for _, n := range []int{0, 600} {
		require.Error(t, chart.Scatter(&failing{n}, crowd()))
	}
}
