package extract

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every field has a name, and what insides says of it is what its names say.
func TestFieldsAreWhereTheirNamesAre(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("field.go")
	require.NoError(t, err)
	names := regexp.MustCompile(`"(\w+)"`).FindAllSubmatch(source, -1)
	for _, name := range names {
		require.LessOrEqual(t, escapeLen*len(name[1]), len(nameRoom{}), "%s: there is no room to undo its escapes", name[1])
	}
	var all fieldSet
	for outer := range numFields {
		var inside fieldSet
		for _, name := range names {
			f := outer.member(name[1])
			require.Equal(t, f, outer.memberAsWritten(name[1]), "%s", name[1])
			if f != noField {
				inside |= 1 << f
			}
		}
		if outer != noField {
			require.Equal(t, outer.inside(), inside, "insides has other bits for field %d than member has names; they must be in one row", outer)
		}
		require.Zero(t, all&inside, "a name in field %d has the field of one elsewhere", outer)
		all |= inside
	}
	require.Equal(t, setOf(1, numFields-1), all, "a bit that is missing is a field without a name in member")
}

// However many extractors ask, the body is walked once: by the first of them, for all.
func TestBodiesAreWalkedOnce(t *testing.T) {
	t.Parallel()
	r := &Request{Body: []byte(`{"a":1,"session_id":"s","previous_response_id":"resp_1","metadata":{"user_id":"u"},"ticket":"t"}`)}
	BodyIDs().Extract(r)
	r.Body[0] = '[' // no object, for whoever begins anew
	var ids []string
	for _, e := range []Extractor{BodyIDs(), State(), UserID(), Body("ticket"), Body("metadata.user_id"), Body("b")} {
		s, _ := e.Extract(r)
		ids = append(ids, s.ID)
	}
	require.Equal(t, []string{"s", "resp_1", "u", "t", "u", ""}, ids)
	require.Equal(t, []string{"resp_1"}, r.Pins())
}
