package extract

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each path has one field, in its own object and nowhere else, however its name is written.
func TestFieldsAreWhereTheirNamesAre(t *testing.T) {
	t.Parallel()
	require.Less(t, int(fields.last), numFields, "so many do not fit into a fieldSet")
	var all fieldSet
	for outer, table := range fields.members {
		var inside fieldSet
		for i := 0; table != nil && i < len(table); i++ {
			m := table[i]
			if m.field == noField {
				continue
			}
			require.LessOrEqual(t, len(m.name), maxName, m.name)
			require.NotContains(t, m.name, ".", "a path of newField has two names at most")
			require.Equal(t, m.field, field(outer).memberAsWritten([]byte(m.name)), m.name)
			escaped := fmt.Sprintf(`\u%04x%s`, m.name[0], m.name[1:])
			require.Equal(t, m.field, field(outer).memberAsWritten([]byte(escaped)), m.name)
			inside |= 1 << m.field
		}
		if outer != 0 {
			require.Equal(t, field(outer).inside(), inside, "of field %d", outer)
		}
		require.Zero(t, all&inside, "a name in field %d has the field of one elsewhere", outer)
		all |= inside
	}
	require.Equal(t, fieldSet(1)<<(fields.last+1)-2, all, "each field has a name")
	require.Equal(t, newField("metadata.thread_id"), newField("metadata").member([]byte("threadId")))
	require.Equal(t, noField, newField("metadata").member([]byte("messages")))
	require.Equal(t, noField, noField.member([]byte("user_id")))
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
