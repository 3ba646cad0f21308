package observe

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// few makes hashes that often collide, in one or two segments.
func few(key int) uint64 { return uint64(key%2)<<56 | uint64(key%3)<<30 | uint64(key%5) }

func TestIndexAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x index
		model := map[int]bool{}
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			key := rapid.IntRange(1, 60).Draw(t, "key")
			if model[key] {
				x.remove(few(key), uint32(key))
			} else {
				x.insert(few(key), uint32(key))
			}
			model[key] = !model[key]
			x.remove(few(key), 9999) // not there
			for k := range 61 {
				found := 0
				for p := x.find(few(k)); p.ref != 0; p.next() {
					if p.ref == uint32(k) {
						found++
					}
				}
				if found > 1 || (found == 1) != model[k] {
					t.Fatalf("%d found %d times, want %v", k, found, model[k])
				}
			}
		}
	})
}

func TestIndexGrowsAndShrinks(t *testing.T) {
	var x index
	h := newHasher(newRand(1))
	slots := func() (n int) {
		for i := range x.segments {
			n += len(x.segments[i].slots)
		}
		return n
	}
	const count = 200_000
	for i := range count {
		x.insert(h.id(uint32(i), 7), uint32(i+1))
	}
	if load := float64(count) / float64(slots()); load < 0.65 || load > 0.875 {
		t.Errorf("load %.2f", load)
	}
	for i := range count {
		x.remove(h.id(uint32(i), 7), uint32(i+1))
	}
	if got := slots(); got > 2*minSegmentSlots*indexSegments || x.used() != 0 {
		t.Errorf("%d slots, %d in use after the end", got, x.used())
	}
}

// The garbage collector does not look into tables without pointers.
func TestTablesHoldNoPointers(t *testing.T) {
	var look func(reflect.Type) bool
	look = func(typ reflect.Type) bool {
		switch typ.Kind() {
		case reflect.Struct:
			for i := range typ.NumField() {
				if !look(typ.Field(i).Type) {
					t.Logf("%v.%s", typ, typ.Field(i).Name)
					return false
				}
			}
		case reflect.Array:
			return look(typ.Elem())
		case reflect.Pointer, reflect.Slice, reflect.String, reflect.Map, reflect.Interface, reflect.Func, reflect.Chan, reflect.UnsafePointer:
			return false
		}
		return true
	}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[cell[observer, [3]link]](), reflect.TypeFor[cell[client, [2]link]](),
		reflect.TypeFor[resource](), reflect.TypeFor[slot](),
	} {
		if !look(typ) {
			t.Errorf("%v has a pointer", typ)
		}
		t.Logf("%v: %d bytes", typ, typ.Size())
	}
}

func TestSlab(t *testing.T) {
	var s slab[int, [2]link]
	n := s.add()
	handle := s.handle(n)
	if m, ok := s.resolve(handle); !ok || m != n {
		t.Fatal("not found")
	}
	s.remove(n)
	m := s.add()
	if _, ok := s.resolve(handle); ok || m != n {
		t.Fatal("an old handle names a new value")
	}
	for _, none := range []uint64{0, 1, 1 << 32, 5<<32 | 77} {
		if _, ok := s.resolve(none); ok {
			t.Errorf("%x resolved", none)
		}
	}
	s.remove(m)
	spliced(t)
	m = s.add()
	var a, b list
	var cells []uint32
	for range 3000 {
		k := s.add()
		cells = append(cells, k)
		s.push(&a, 1, k)
	}
	s.splice(&b, &a, 1)
	s.splice(&b, &a, 1)
	s.push(&a, 1, m)
	s.splice(&b, &a, 1)
	for _, want := range append(cells, m) {
		got, ok := b.first()
		if !ok || got != want {
			t.Fatalf("%d, want %d", got, want)
		}
		s.unlink(&b, 1, got)
		s.remove(got)
	}
	if b != (list{}) || s.live != 0 || len(s.chunks) != 1 {
		t.Errorf("%+v, %d live, %d chunks", b, s.live, len(s.chunks))
	}
	if k := s.add(); s.cell(k).generation < 3000 {
		t.Error("generations start again")
	}
}

// spliced takes the cells on both sides of a splice out of a list.
func spliced(t *testing.T) {
	var s slab[int, [2]link]
	var front, back list
	for i := range uint32(6) {
		l := &front
		if i > 2 {
			l = &back
		}
		s.push(l, 0, s.add())
	}
	s.splice(&front, &back, 0)
	s.unlink(&front, 0, 3)
	s.unlink(&front, 0, 2)
	for _, want := range []uint32{0, 1, 4, 5} {
		if got, ok := front.first(); !ok || got != want {
			t.Fatalf("%d, want %d", got, want)
		}
		s.unlink(&front, 0, want)
	}
	if front != (list{}) || back != (list{}) {
		t.Errorf("%+v, %+v", front, back)
	}
}

func TestPlaces(t *testing.T) {
	var p places
	for i := range 9 {
		if p.next() != i%rememberedIDs || p.known(p.next()) != (i >= rememberedIDs) {
			t.Fatalf("%d: %b", i, p)
		}
		p = p.taken()
		if !p.known(p.last()) || p.last() != i%rememberedIDs {
			t.Fatalf("%d: %b", i, p)
		}
	}
}
