#!/usr/bin/env python3
"""HDF5 files as other programs lay them out: found and trained, or refused with the remedy. docs/data_format.md lists them."""
import json
import unittest

import h5py
import numpy

from program import ProgramTest, run

RANDOM = numpy.random.default_rng(0)
TEXT = h5py.string_dtype()


def normal(*shape):
    return RANDOM.normal(size=shape).astype("f4")


class OtherLayouts(ProgramTest):
    def write(self, name, **datasets):
        """A file with the given arrays; double underscores in a name stand for /."""
        path = self.folder / name
        with h5py.File(path, "w") as file:
            for key, value in datasets.items():
                file[key.replace("__", "/")] = value
        return path

    def train_file(self, path, *settings, run_name="run", ranks=0):
        """Trains three steps; returns what was logged and the folder of the run."""
        folder = self.folder / run_name
        result = self.succeed(ranks, "train", path, "--train.steps=3", f"--run.directory={folder}", *settings)
        return result.stderr, folder

    def refuse_file(self, path, *expected, settings=()):
        result = run(0, "train", path, "--train.steps=3", f"--run.directory={self.folder / 'refused'}", *settings)
        self.assertEqual(result.returncode, 2, result.stderr)
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        self.assertEqual(len(errors), 1, result.stderr)
        for part in expected:
            self.assertIn(part, errors[0])

    def results(self, command, folder, path, *settings, ranks=0):
        out = self.folder / "out.h5"
        self.succeed(ranks, command, folder, path, f"--out={out}", "--force=true", *settings)
        with h5py.File(out) as file:
            return {name: file[name][()] for name in file}

    def reconstructed(self, folder, path, *settings):
        """The rows as the model gets them."""
        return self.results("reconstruct", folder, path, "--n=1000", *settings)["x"]

    # ---- names ----

    def columns_of_samples(self, folder):
        self.succeed(0, "sample", folder, "--n=2", f"--out={folder}.csv")
        with open(f"{folder}.csv", encoding="utf8") as file:
            return file.readline().rstrip("\n")

    def test_columns_of_tables_have_their_names(self):
        table = numpy.zeros(50, [("age", "f8"), ("who", "S3"), ("at", [("lat", ">f4"), ("lon", "<i2")]), ("v", "f4", (2,))])
        table["age"], table["v"] = RANDOM.normal(size=50), normal(50, 2)
        _, folder = self.train_file(self.write("table.h5", people=table))
        self.assertEqual(self.columns_of_samples(folder), "age,at.lat,at.lon,v_0,v_1")
        import pandas
        pandas.DataFrame({"height": normal(50), "weight": normal(50)}).to_hdf(self.folder / "frame.h5", "df")
        _, folder = self.train_file(self.folder / "frame.h5", run_name="frame")
        self.assertEqual(self.columns_of_samples(folder), "height,weight")

    def test_genes_of_10x_and_loom_have_their_names(self):
        counts, genes = RANDOM.poisson(2, (40, 3)), numpy.array([b"ACTB", b"GAPDH", b"CD3E"])
        row, column = numpy.nonzero(counts)
        ten_x = self.write("raw.h5", matrix__barcodes=numpy.array([b"c%d" % i for i in range(40)]),
                           matrix__data=counts[row, column].astype("i4"), matrix__indices=column,
                           matrix__indptr=numpy.append(0, numpy.cumsum((counts > 0).sum(1))), matrix__shape=[3, 40],
                           matrix__features__name=genes, matrix__features__id=genes)
        _, folder = self.train_file(ten_x, run_name="ten_x")
        self.assertEqual(self.columns_of_samples(folder), "ACTB,GAPDH,CD3E")
        loom = self.write("a.loom", matrix=counts.T.astype("f4"), row_attrs__Gene=genes,
                          col_attrs__CellID=numpy.array([b"c%d" % i for i in range(40)]), layers__x=counts.T)
        _, folder = self.train_file(loom, run_name="loom")
        self.assertEqual(self.columns_of_samples(folder), "ACTB,GAPDH,CD3E")

    def test_large_numbers_are_different_categories(self):
        file = {"X": normal(60, 4), "obs___index": [b"c%d" % i for i in range(60)], "var___index": [b"g%d" % i for i in range(4)],
                "obs__donor__codes": numpy.arange(60) % 3, "obs__donor__categories": [1000001, 1000002, 1000003]}
        data = self.write("donors.h5ad", **file)
        _, folder = self.train_file(data, "--model.name=cvae", "--data.label=donor")
        numpy.testing.assert_array_equal(self.results("score", folder, data)["label"], numpy.arange(60) % 3)

    # ---- rows ----

    def test_a_file_that_is_named_gives_all_its_rows_in_its_order(self):
        old, new = self.write("old.h5", train__x=normal(300, 6)), self.write("new.h5", train__x=normal(250, 6))
        _, folder = self.train_file(old)
        whole = self.results("score", folder, new)
        self.assertEqual(len(whole["score"]), 250)
        numpy.testing.assert_array_equal(whole["row"], numpy.arange(250))
        self.assertEqual(sorted(whole), ["row", "score"])
        numpy.testing.assert_array_equal(self.results("score", folder, new, ranks=2)["score"], whole["score"])
        self.assertEqual(len(self.results("score", folder, new, "--split=train")["score"]), 250)  # none is held out
        with h5py.File(new) as file:
            numpy.testing.assert_allclose(self.reconstructed(folder, new), file["train/x"][()], rtol=1e-4, atol=1e-6)
        codes = self.results("encode", folder, new)
        self.assertEqual((len(codes["z"]), len(codes["row"])), (250, 250))
        out = self.folder / "evaluation.json"
        self.succeed(0, "evaluate", folder, new, f"--out={out}")
        self.assertEqual(json.loads(out.read_text())["rows"], 250)
        self.succeed(0, "evaluate", folder)  # its own: those that were held out
        self.assertEqual(json.loads((folder / "evaluation.json").read_text())["rows"], 30)

    def test_rows_of_the_own_file_have_their_numbers_when_some_are_held_out(self):
        path = self.write("own.h5", train__x=normal(300, 6))
        _, folder = self.train_file(path)
        codes = {split: self.results("encode", folder, path, f"--split={split}") for split in ("all", "train", "validation")}
        self.assertEqual([len(codes[split]["z"]) for split in codes], [300, 270, 30])
        numpy.testing.assert_array_equal(codes["all"]["row"], numpy.arange(300))
        for split in ("train", "validation"):
            numpy.testing.assert_allclose(codes[split]["z"], codes["all"]["z"][codes[split]["row"]], atol=1e-5)
        self.assertEqual(sorted({*codes["train"]["row"], *codes["validation"]["row"]}), list(range(300)))

    def test_all_rows_of_several_splits_follow_one_another(self):
        path = self.write("splits.h5", train__x=normal(40, 6), validation__x=normal(10, 6), test__x=normal(20, 6),
                          train__label=numpy.arange(40) % 3)
        _, folder = self.train_file(path)
        codes = self.results("encode", folder, path)
        numpy.testing.assert_array_equal(codes["row"], numpy.r_[:40, :10, :20])
        numpy.testing.assert_array_equal(codes["split"], numpy.repeat([0, 1, 2], [40, 10, 20]))
        with h5py.File(self.folder / "out.h5") as file:
            self.assertEqual(list(file["split"].attrs["names"]), ["train", "validation", "test"])
        self.assertNotIn("label", codes)  # not all have one

    # ---- splits ----

    def test_groups_of_splits_by_other_words(self):
        for validation in ("val", "valid", "dev", "Validation"):
            for test in ("testing", "eval"):
                path = self.write("words.h5", **{"training__x": normal(60, 4), f"{validation}__x": normal(11, 4),
                                                 f"{test}__x": normal(7, 4)})
                said, folder = self.train_file(path, run_name=validation + test)
                self.assertIn(f"/{validation} is taken as the validation split", said)
                for split, rows in (("train", 60), ("validation", 11), ("test", 7)):
                    self.succeed(0, "evaluate", folder, f"--split={split}")
                    self.assertEqual(json.loads((folder / "evaluation.json").read_text())["rows"], rows)
        both = self.write("both.h5", train__x=normal(60, 4), val__x=normal(9, 4), dev__x=normal(9, 4))
        self.refuse_file(both, "/val and /dev", "data.validation")
        self.refuse_file(both, "data.validation=held", "is not in the file", settings=["--data.validation=held"])

    def test_datasets_of_splits_by_their_names(self):
        for names in (("x_train", "y_train", "x_test", "y_test", "X_val"), ("trainX", "trainY", "testX", "testY", "valX"),
                      ("train_images", "train_labels", "test_images", "test_labels", "validation_images"),
                      ("train_set_x", "train_set_y", "test_set_x", "test_set_y", "dev_set_x")):
            for group in ("", "data__"):
                arrays = (normal(60, 4), numpy.arange(60) % 3, normal(9, 4), numpy.arange(9) % 3, normal(8, 4))
                path = self.write("names.h5", **{group + name: array for name, array in zip(names, arrays)})
                said, folder = self.train_file(path, run_name=group + names[0])
                self.assertIn(names[0], said)
                codes = self.results("encode", folder, path, "--split=test")
                numpy.testing.assert_array_equal(codes["label"], arrays[3])

    def test_the_only_dataset_of_rows_needs_no_name(self):
        label = numpy.arange(60) % 3
        for rows, labels in (("x", "y"), ("X", "labels"), ("images", "target"), ("data", "classes"), ("deep__er__cube", None)):
            path = self.write("only.h5", **{rows: normal(60, 4)}, **({labels: label} if labels else {}), ids=numpy.arange(60))
            said, folder = self.train_file(path, run_name=rows)
            self.assertIn(f"data.x=/{rows.replace('__', '/')}", said)
            codes = self.results("encode", folder, path)
            self.assertEqual(len(codes["z"]), 60)
            if labels:
                numpy.testing.assert_array_equal(codes["label"], label)
        self.refuse_file(self.write("two.h5", a=normal(60, 4), b=normal(60, 5)), "2 datasets", "data.x=PATH", "/a (60, 4)", "/b (60, 5)")

    # ---- rows that are spread over the file ----

    def test_rows_in_pieces_are_refused_with_a_line_that_joins_them(self):
        samples = self.write("samples.h5", **{f"train__{i:03d}__image": RANDOM.random((1, 8, 8), "f4") for i in range(30)},
                             **{f"train__{i:03d}__label": i % 3 for i in range(30)})
        arrays = self.write("arrays.h5", **{f"train__{i:03d}": RANDOM.random((1, 8, 8), "f4") for i in range(30)})
        columns = self.write("columns.h5", **{f"train__column{i}": normal(50) for i in range(7)})
        at_root = self.write("root.h5", **{f"column{i}": normal(50) for i in range(7)}, label=numpy.arange(50) % 2)
        vectors = {str(i): normal(3) for i in range(12)}  # more than they are long
        rows = self.write("rows.h5", **{f"train__{i}": values for i, values in vectors.items()})
        named = self.write("named.h5", **{f"train__person{i:>02}": values for i, values in vectors.items()})
        for path, what, shape in ((rows, "a dataset for each sample", (12, 3)), (named, "a dataset for each sample", (12, 3)),
                                  (samples, "a group for each sample", (30, 1, 8, 8)),
                                  (arrays, "a dataset for each sample", (30, 1, 8, 8)),
                                  (columns, "a dataset for each column", (50, 7)), (at_root, "a dataset for each column", (50, 7))):
            self.refuse_file(path, what, "one dataset", "in Python: ")
            error = run(0, "train", path).stderr
            line = error[error.index("in Python: ") + len("in Python: "):].strip()
            exec(line.replace(f'"{path.name}"', f'"{path}"'), {})  # the line works
            said, folder = self.train_file(path, run_name=path.stem)
            self.assertEqual(self.reconstructed(folder, path).shape, shape, said)
        with h5py.File(rows) as file:
            numpy.testing.assert_array_equal(file["train/x"][()], numpy.stack(list(vectors.values())))

    def test_a_table_of_a_compound_type(self):
        rows = numpy.zeros(50, [("a", "f4"), ("name", "S3"), ("b", ">i2"), ("c", "f8", (2,)), ("flag", "?")])
        for field, value in zip("ab", (normal(50), numpy.arange(50))):
            rows[field] = value
        rows["c"] = normal(50, 2)
        rows["flag"] = numpy.arange(50) % 2 == 1
        path = self.folder / "table.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("measurements", data=rows, chunks=(16,), compression="gzip")
        _, folder = self.train_file(path)
        expected = numpy.stack([rows["a"], rows["b"], rows["c"][:, 0], rows["c"][:, 1], rows["flag"]], 1).astype("f4")
        numpy.testing.assert_allclose(self.reconstructed(folder, path), expected, rtol=1e-5, atol=1e-5)

    def test_tables_of_pandas(self):
        values = RANDOM.normal(size=(50, 4))
        fixed = self.write("fixed.h5", df__axis0=[b"a", b"b", b"c", b"d"], df__axis1=numpy.arange(50),
                           df__block0_items=[b"a", b"b", b"c", b"d"], df__block0_values=values)
        table = self.folder / "table.h5"
        rows = numpy.zeros(50, [("index", "i8"), ("values_block_0", "f8", (4,))])
        rows["index"], rows["values_block_0"] = numpy.arange(50) + 1000, values
        with h5py.File(table, "w") as file:
            file.create_dataset("df/table", data=rows, chunks=(10,))
            file["df"].attrs["pandas_type"] = numpy.bytes_("frame_table")
        for path in (fixed, table):
            _, folder = self.train_file(path, run_name=path.stem)
            numpy.testing.assert_allclose(self.reconstructed(folder, path), values, rtol=1e-6)

    # ---- the order of dimensions ----

    def test_bands_of_a_satellite_are_channels(self):
        for bands, side in ((13, 64), (5, 16), (2, 32)):
            x = numpy.random.default_rng(1).integers(0, 3000, (24, side, side, bands)).astype("u2")
            path = self.write(f"bands{bands}.h5", train__x=x)
            said, folder = self.train_file(path, "--train.batch=8", run_name=f"bands{bands}")
            self.assertIn("order NHWC", said)
            self.assertEqual(self.reconstructed(folder, path, "--split=train").shape[1:], (bands, side, side))

    def test_images_with_their_channels_last(self):
        for kind, scale in (("u1", 255), ("f4", 1)):
            for channels in (1, 3, 4):
                x = RANDOM.integers(0, 256, (40, 20, 18, channels))
                x = x.astype("u1") if kind == "u1" else (x / 256).astype("f4")
                path = self.write(f"{kind}{channels}.h5", x=x)
                said, folder = self.train_file(path, run_name=path.stem)
                self.assertIn("order NHWC", said)
                numpy.testing.assert_array_equal(self.reconstructed(folder, path), x.transpose(0, 3, 1, 2).astype("f4") / scale)
                other = self.write(f"{kind}{channels}_first.h5", x=x.transpose(0, 3, 1, 2))
                numpy.testing.assert_array_equal(self.reconstructed(folder, other), self.reconstructed(folder, path))
                if channels != 4:
                    self.succeed(0, "sample", folder, "--n=4", f"--out={self.folder}/{path.stem}.png")

    def test_axes_that_are_said(self):
        x = RANDOM.random((40, 6, 5, 7), "f4")
        path = self.write("any.h5", x=x)
        _, folder = self.train_file(path, "--data.axes=NHWC")
        numpy.testing.assert_array_equal(self.reconstructed(folder, path), x.transpose(0, 3, 1, 2))
        grey = self.write("grey.h5", x=x[:, :, :, 0])
        _, folder = self.train_file(grey, "--data.axes=NHW", run_name="grey")
        numpy.testing.assert_array_equal(self.reconstructed(folder, grey), x[:, None, :, :, 0])
        self.refuse_file(grey, "data.axes=NHWC", "(40, 6, 5)", settings=["--data.axes=NHWC"])

    def matlab(self, name, **arrays):
        path = self.folder / name
        with h5py.File(path, "w", userblock_size=512) as file:
            for key, value in arrays.items():
                stored = file.create_dataset(key, data=numpy.ascontiguousarray(value.T), chunks=True, compression="gzip")
                stored.attrs["MATLAB_class"] = numpy.bytes_("double")
        with open(path, "r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(116) + b"\0" * 8 + b"\0\2IM")
        return path

    def test_dimensions_of_matlab_are_in_reverse(self):
        x = RANDOM.normal(size=(70, 6))
        y = numpy.arange(70.0).reshape(-1, 1) % 3 + 1
        for name, arrays in (("labels.h5", {"X": x, "y": y}), ("bare.h5", {"X": x})):
            path = self.matlab(name, **arrays)
            said, folder = self.train_file(path, "--data.x=/X", run_name=path.stem)
            self.assertIn("70 rows of (6)", said)
            numpy.testing.assert_allclose(self.reconstructed(folder, path), x.astype("f4"), rtol=1e-4, atol=1e-6)
        columns = self.matlab("columns.h5", X=x.T, y=y.T)  # a sample in each column, as labels say
        _, folder = self.train_file(columns, "--data.x=/X", run_name="in_columns")
        numpy.testing.assert_allclose(self.reconstructed(folder, columns), x.astype("f4"), rtol=1e-4, atol=1e-6)
        images = RANDOM.integers(0, 255, (9, 8, 40)).astype("u1")  # height, width, images
        path = self.matlab("images.h5", imgs=images)
        said, folder = self.train_file(path, run_name="images")
        self.assertIn("NWH", said)
        numpy.testing.assert_array_equal(self.reconstructed(folder, path)[:, 0], images.transpose(2, 0, 1).astype("f4") / 255)

    def test_dimensions_in_reverse_are_said(self):
        x = normal(70, 6)
        for options in ({}, {"chunks": (3, 10)}):
            path = self.folder / "reversed.h5"
            with h5py.File(path, "w") as file:
                file.create_dataset("x", data=x.T, **options)
            _, folder = self.train_file(path, "--data.transpose=true", run_name=f"run{len(options)}")
            numpy.testing.assert_allclose(self.reconstructed(folder, path), x, rtol=1e-4, atol=1e-6)

    # ---- labels ----

    def test_labels_in_every_form(self):
        label = numpy.arange(60) % 3
        forms = {"column": label[:, None], "one_hot": numpy.eye(3, dtype="u1")[label], "one_hot_floats": numpy.eye(3)[label],
                 "floats": label.astype("f8"), "float_column": label[:, None].astype("f4")}
        for name, form in forms.items():
            path = self.write(f"{name}.h5", train__x=normal(60, 4), train__label=form)
            _, folder = self.train_file(path, "--model.name=cvae", run_name=name)
            numpy.testing.assert_array_equal(self.results("encode", folder, path)["label"], label)
        texts = self.write("texts.h5", train__x=normal(60, 4), train__label=numpy.array([b"cat", b"ant", b"bee"])[label])
        said, folder = self.train_file(texts, "--model.name=cvae", run_name="texts")
        self.assertIn("3 classes in sorted order", said)
        numpy.testing.assert_array_equal(self.results("encode", folder, texts)["label"], numpy.array([2, 0, 1])[label])
        few = self.write("few.h5", train__x=normal(5, 4), train__label=[b"cat"] * 5)  # the run's classes, not its own
        numpy.testing.assert_array_equal(self.results("encode", folder, few)["label"], [2] * 5)
        values = self.write("values.h5", train__x=normal(60, 4), train__label=normal(60, 2))
        _, folder = self.train_file(values, "--model.name=cvae", run_name="values")
        self.assertEqual(self.results("encode", folder, values)["label"].shape, (60, 2))

    def test_labels_that_a_model_does_not_use_never_stop_it(self):
        label = numpy.arange(60) % 3
        unknown, nan = label.copy(), label.astype("f4") + 0.5
        unknown[7], nan[7] = -1, numpy.nan
        beyond = {"train__label": label, "test__x": normal(9, 4), "test__label": numpy.full(9, 5)}
        for name, (labels, expected) in {
                "unknown": ({"train__label": unknown}, "label -1 in row 7"), "short": ({"train__label": label[:50]}, "as many labels as rows"),
                "huge": ({"train__label": label + 1000}, "label 1002"), "deep": ({"train__label": normal(60, 2, 2)}, "shape (60, 2, 2)"),
                "nan": ({"train__label": nan}, "not finite in row 7"), "beyond": (beyond, "label 5 in row 0")}.items():
            path = self.write(f"{name}.h5", train__x=normal(60, 4), **labels)
            self.train_file(path, run_name=name)
            self.refuse_file(path, expected, settings=["--model.name=cvae", "--data.validation_fraction=0"])

    def test_labels_beside_sparse_rows(self):
        dense = (RANDOM.random((60, 8)) < 0.3).astype("f4")
        row, column = numpy.nonzero(dense)
        label = numpy.arange(60) % 3
        path = self.write("sparse.h5", train__indices=column, train__offsets=numpy.r_[0, numpy.cumsum(dense.sum(1))].astype("i8"),
                          train__label=label)
        _, folder = self.train_file(path, "--model.name=cvae")
        codes = self.results("encode", folder, path)
        numpy.testing.assert_array_equal(codes["label"], label)

    # ---- single cells ----

    def cells(self, name, form, **more):
        """As anndata 0.12 writes it."""
        counts = RANDOM.poisson(1.0, (90, 20)).astype("f4")
        rows, columns = numpy.nonzero(counts)
        path = self.folder / name
        with h5py.File(path, "w") as file:
            file.attrs["encoding-type"] = "anndata"
            if form == "dense":
                file["X"] = counts
            else:
                order = numpy.lexsort((rows, columns)) if form == "csc_matrix" else slice(None)
                group = file.create_group("X")
                group.attrs["encoding-type"], group.attrs["shape"] = form, [90, 20]
                group["data"] = counts[rows, columns][order]
                group["indices"] = (rows if form == "csc_matrix" else columns)[order].astype("i4")
                group["indptr"] = numpy.r_[0, numpy.cumsum((counts > 0).sum(0 if form == "csc_matrix" else 1))].astype("i4")
            file["layers/doubled"] = 2 * counts
            file["obs/_index"] = numpy.array([f"CELL{i}" for i in range(90)], TEXT)
            file["obs"].attrs["_index"] = "_index"
            file["obs/batch/codes"] = numpy.where(numpy.arange(90) == 4, -1, numpy.arange(90) % 3).astype("i1")
            file["obs/batch/categories"] = numpy.array(["day2", "day1", "day3"], TEXT)
            file["obs/day/codes"], file["obs/day/categories"] = (numpy.arange(90) % 2).astype("i1"), numpy.array(["a", "b"], TEXT)
            file["var/_index"] = numpy.array([f"GENE{i}" for i in range(20)], TEXT)
        return path, counts

    def test_annotated_data_of_single_cells(self):
        for form in ("csr_matrix", "dense"):
            path, counts = self.cells(f"{form}.h5ad", form)
            _, folder = self.train_file(path, "--data.label=obs/batch", "--model.likelihood=gaussian", run_name=form)
            numpy.testing.assert_array_equal(self.reconstructed(folder, path), counts)
            codes = self.results("encode", folder, path)
            self.assertEqual([name.decode() for name in codes["name"]], [f"CELL{i}" for i in range(90)])
            expected = numpy.array([1, 0, 2])[numpy.arange(90) % 3]
            expected[4] = -1
            numpy.testing.assert_array_equal(codes["label"], expected)
            self.refuse_file(path, "label -1 in row 4", settings=["--data.label=/obs/batch", "--model.name=cvae",
                                                                  "--model.likelihood=gaussian"])
            self.train_file(path, "--data.label=/obs/day", "--model.name=cvae", "--model.likelihood=gaussian", run_name=form + "c")
        _, folder = self.train_file(path, "--data.x=/layers/doubled", run_name="layer")
        numpy.testing.assert_array_equal(self.reconstructed(folder, path), 2 * counts)
        path, _ = self.cells("csc.h5ad", "csc_matrix")
        self.refuse_file(path, "/X is stored by columns (CSC)", "tocsr()")

    def test_matrices_of_10x(self):
        counts = RANDOM.poisson(1.0, (90, 20)).astype("i4")
        cell, gene = numpy.nonzero(counts)
        path = self.write("filtered.h5", matrix__data=counts[cell, gene], matrix__indices=gene,
                          matrix__indptr=numpy.r_[0, numpy.cumsum((counts > 0).sum(1))], matrix__shape=[20, 90],
                          matrix__barcodes=[f"B{i:02d}".encode() for i in range(90)], matrix__features__id=[b"g"] * 20)
        _, folder = self.train_file(path, "--model.likelihood=gaussian")
        numpy.testing.assert_array_equal(self.reconstructed(folder, path), counts.astype("f4"))
        self.assertEqual(self.results("encode", folder, path)["name"][89], b"B89")

    # ---- what is not HDF5 ----

    def test_other_formats_are_refused_with_the_line_that_converts_them(self):
        (self.folder / "a.csv").write_text("a,b\n1,2\n")
        numpy.save(self.folder / "a.npy", normal(9, 2))
        for name, content in (("a.parquet", b"PAR1\0\0"), ("a.tif", b"II*\0\0"), ("a.fits", b"SIMPLE  =" + b" " * 99),
                              ("a.mat", b"MATLAB 5.0 MAT-file".ljust(128, b"\0")), ("a.bin", bytes(99)), ("a.nc", b"CDF\1" + bytes(99))):
            (self.folder / name).write_bytes(content)
        for name, expected in (("a.csv", ("elbo convert csv", "--out=")), ("a.npy", ("elbo convert npy",)),
                               ("a.parquet", ("Parquet", "elbo convert csv")), ("a.tif", ("tifffile", "elbo convert npy")),
                               ("a.fits", ("FITS", "elbo convert npy")), ("a.mat", ("MATLAB", "loadmat")), ("a.bin", ("neither",)),
                               ("a.nc", ("netCDF", "nccopy"))):
            self.refuse_file(self.folder / name, name, *expected)
            self.refuse_file("configs/mnist_vae.ini", name, *expected, settings=[f"--data.path={self.folder / name}"])
        pictures = self.folder / "pictures"
        (pictures / "cats").mkdir(parents=True)
        (pictures / "cats" / "a.png").write_bytes(b"")
        self.refuse_file(pictures, "is a folder of images", f"elbo convert images {pictures} --out={pictures}.h5")
        line = run(0, "train", self.folder / "a.csv").stderr.split("; elbo ", 1)[1].split(", then ")[0]
        self.succeed(0, *line.split())
        self.assertTrue((self.folder / "a.h5").exists())

    def test_a_configuration_as_other_editors_write_it(self):
        path = self.write("x.h5", train__x=normal(60, 4))
        config = self.folder / "run.ini"
        config.write_bytes("\ufeff; mine\r\n[data]\r\npath = {} ; rows\r\n[train]\r\nsteps = 3\r\nexact = True\r\n".format(path).encode())
        self.train_file(config, "--model.likelihood=gaussian")


if __name__ == "__main__":
    unittest.main()
