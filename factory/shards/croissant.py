"""croissant.json: what a set holds, for machines, in MLCommons' Croissant 1.1 (schema.org as JSON-LD).

Files: each tar by name, size and SHA-256, the manifest, the wids indexes. Record sets: the manifest, and for each split
one per member of a sample. All have the field `key` to join them by; mlcroissant itself joins no more than two sources.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from factory import __version__
from factory.shards.card import Contents
from factory.shards.commit import CommitRecord, FileRecord
from factory.shards.keys import KEY_DIGITS
from factory.shards.manifest import final_schema
from factory.shards.members import JSON, extensions

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
TARS_LISTED = 10_000  # about 6 MB; above that a reader takes the tars' names from the wids indexes
_KEY = rf"^(?:.*/)?(\d{{{KEY_DIGITS}}})\."
_TYPES: Mapping[pa.DataType, str] = {
    pa.string(): "sc:Text",
    pa.bool_(): "sc:Boolean",
    pa.int16(): "cr:Int16",
    pa.int32(): "cr:Int32",
    pa.int64(): "cr:Int64",
    pa.float32(): "cr:Float32",
}
_METADATA = "The sample's metadata, one fixed schema: the dataset_info of README.md declares it."
# The context that the specification prints; a reader compares it.
_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    **{
        name: f"cr:{name}"
        for name in (
            *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileObject"),
            *("fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5"),
            *("parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate"),
            *("separator", "source", "subField", "transform"),
        )
    },
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
}


def croissant(
    contents: Contents, records: Sequence[CommitRecord], files: Sequence[FileRecord], title: str, published: str
) -> bytes:
    """The file's text; the same for the same samples.

    files: the manifest or its table of duplicates, and the wids indexes, as they lie there.  published: an ISO date.
    """
    with_tar = [record for record in records if record.tar.name]
    tars: dict[str, list[FileRecord]] = {}
    for record in with_tar if len(with_tar) <= TARS_LISTED else []:
        tars.setdefault(record.split, []).append(record.tar)
    manifests = [file.name for file in files if file.name == "manifest.parquet"]
    words = {member.extension: member.contents for member in contents.members} | {JSON: _METADATA}
    told = {name: words[name] for name in extensions(contents.members)}
    licences = sorted({licence for _, _, licence in contents.origins} - {""})
    content = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": title,
        "description": f"{contents.samples:,} pairs of picture and alpha matte for training image matting, with the "
        "straight foreground colour and metadata, in WebDataset shards. Join the record sets of a split by their key.",
        "license": licences or ["unknown"],
        "version": "1.0.0",
        "citeAs": f"@misc{{dataset, title={{{title}}}, note={{made with matting-factory {__version__}}}}}",
        "datePublished": published,
        "keywords": ["image matting", "alpha matte", "green screen"],
        **_responsible(contents),
        "distribution": [
            *(_file_object(file, file.name, _encoding(file.name)) for file in files),
            *(_file_object(tar, f"data/{tar.name}", "application/x-tar") for group in tars.values() for tar in group),
            *(_file_set(split, name, group) for split, group in tars.items() for name in told),
        ],
        "recordSet": [
            *(_manifest(name, contents) for name in manifests),
            *(_record_set(split, name, description) for split in tars for name, description in told.items()),
        ],
    }
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _responsible(contents: Contents) -> dict[str, Any]:
    """Croissant's vocabulary for responsible AI: how the data came about, and what not to expect of it."""
    kinds = {kind for kind, _, _ in contents.origins}
    ways = {
        "generated": ("Software", f"{contents.generated:,} pictures were painted by a diffusion model"),
        "keyed": ("Video", "pictures or footage before a screen were keyed"),
        "composited": ("Existing datasets", "foregrounds with a known alpha were set on a screen"),
    }
    told = [ways[kind] for kind in ways if kind in kinds]
    return {
        "rai:dataCollection": "; ".join(sentence for _, sentence in told) or "no sample was accepted",
        "rai:dataCollectionType": [word for word, _ in told],
        "rai:machineAnnotationTools": [f"matting-factory {__version__}"],
        "rai:dataAnnotationProtocol": "Every alpha comes from a program or from the named source; nobody drew one for "
        "this set. Gates turned away what the scores in the manifest say.",
        "rai:dataUseCases": "Training and evaluating image matting and background removal.",
        "rai:dataLimitations": "The ground behind every object is one plain screen; an object in the screen's own "
        "colour is rare or absent.",
        "rai:personalSensitiveInformation": "Filmed and photographed sources may show people; "
        "nothing in the metadata is meant to identify them.",
    }


def _encoding(name: str) -> str:
    return "application/x-parquet" if name.endswith(".parquet") else "application/json"


def _file_object(file: FileRecord, path: str, encoding: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": path,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": encoding,
        "sha256": file.sha256,
    }


def _file_set(split: str, member: str, tars: Sequence[FileRecord]) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{split}-{member}",
        "name": f"{split}-{member}",
        "containedIn": [{"@id": f"data/{tar.name}"} for tar in tars],
        "encodingFormat": "application/json" if member == JSON else "image/png",
        "includes": f"*.{member}",
    }


def _record_set(split: str, member: str, description: str) -> dict[str, Any]:
    """Key and content of one kind of member.

    The JSON comes as text: its fields stand in the manifest, and mlcroissant reads no JSON out of an archive.
    """
    name = f"{split}/{member.removesuffix('.png')}"
    files = {"fileSet": {"@id": f"{split}-{member}"}}
    content = {**files, "extract": {"fileProperty": "content"}}
    key = {**files, "extract": {"fileProperty": "filename"}, "transform": {"regex": _KEY}}
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "key": {"@id": f"{name}/key"},
        "field": [
            _field(f"{name}/key", "sc:Text", key),
            _field(f"{name}/text", "sc:Text", content)
            if member == JSON
            else _field(f"{name}/image", "sc:ImageObject", content),
        ],
    }


def _manifest(file: str, contents: Contents) -> dict[str, Any]:
    """A record per attempt, of all splits, with every field of the JSON that can be filtered by."""
    name = "manifest"
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": "A row per attempt: accepted ones (`status`) lie in the shards, the others say why not.",
        "field": [
            _field(
                f"{name}/{column.name}",
                _TYPES[column.type],
                {"fileObject": {"@id": file}, "extract": {"column": column.name}},
            )
            for column in final_schema(contents.members, contents.asked)
        ],
    }


def _field(name: str, kind: str, source: Mapping[str, Any]) -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": name, "name": name, "dataType": kind, "source": source}
