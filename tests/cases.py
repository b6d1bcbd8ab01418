"""Every line of two tables of tries: attacks and faults (A), and cases from public trackers (B).

Each line has the verdict of the day on which it was tried, the tests that try it, or another example of its kind, ever
since, and what of it no test tries. ``pytest -m cases`` runs these tests; ``python -m tests.cases`` runs them and
prints the verdict of each line; with ``--list`` it runs nothing.
"""

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPOSITORY


@dataclass(frozen=True)
class Case:
    """One line of a table.

    Attributes:
        number: of the line, with the letter of its table.
        what: was tried.
        before: pass, fail, doubtful or lacks.
        tests: as ``folder/module::test``, below ``tests/`` and without ``test_`` and ``.py``.
        gap: what of it no test tries.
    """

    number: str
    what: str
    before: str
    tests: tuple[str, ...]
    gap: str = ""

    @property
    def nodes(self) -> list[str]:
        """The tests as pytest calls them."""
        return [_node(name) for name in self.tests]


def _node(name: str) -> str:
    module, _, test = name.partition("::")
    folder, _, file = module.rpartition("/")
    return f"tests/{folder}/test_{file}.py::test_{test}"


def _line(number: str, what: str, before: str, tests: str = "", gap: str = "") -> Case:
    return Case(number, what, before, tuple(tests.split()), gap)


FAULTS = (
    _line("A1", "unreadable sub-folder, Latin-1 name, in Airflow, a good batch beside it", "fail",
          "unit/hostile_trees::an_unreadable_folder_deep_in_a_batch_is_named_in_text_that_can_go_anywhere",
          "the real scheduler"),
    _line("A2", "the same with the command line", "pass",
          "unit/security::a_batch_that_cannot_be_looked_into_does_not_hold_up_the_others"),
    _line("A3", "unreadable sub-folder with an ANSI name, command line", "fail",
          "unit/cli_output::no_message_steers_the_terminal"),
    _line("A4", "TIFF with thumbnails among its pages", "fail",
          "unit/images_pages::thumbnails_and_masks_in_a_tiff_are_no_pages "
          "unit/images_variants::thumbnails_do_not_count_where_pages_are_decoded"),
    _line("A5", "TIFF: pyramid, tiled, BigTIFF, planar, pages of different sizes", "pass",
          "unit/images_decode::pixels_are_exact unit/images_decode::each_page_of_a_tiff "
          "unit/images_variants::smaller_levels_of_a_pyramid_are_no_pages", "OME"),
    _line("A6", "TIFF: floats, integers, palette, white is zero, Lab, CMYK 16, extra samples", "pass",
          "unit/images_decode::every_kind_of_file_gives_upright_contiguous_pixels unit/images_decode::lab_is_converted "
          "unit/images_decode::samples_without_an_agreed_white_are_stretched "
          "unit/images_decode::white_is_zero_is_inverted_at_every_depth"),
    _line("A7", "TIFF: float16, complex64", "fail",
          "unit/images_variants::half_floats_are_read unit/images_variants::complex_numbers_are_unsupported"),
    _line("A8", "TIFF: palette 16, CIELAB 16, ICCLab, LogLuv", "pass",
          "unit/images_variants::colours_that_no_library_here_knows_are_named"),
    _line("A9", "TIFF: orientations 5 to 8 at 8 and 16 bit", "pass",
          "unit/images_decode::orientation_is_applied_exactly_once"),
    _line("A10", "TIFF: JPEG, LZMA, Zstd, Deflate, PackBits, LZW, G4", "pass",
          "unit/images_decode::every_kind_of_file_gives_upright_contiguous_pixels "
          "unit/images_variants::16_bits_in_rare_compressions_are_read"),
    _line("A11", "TIFF: 20 other compressions, random data", "fail",
          "unit/images_variants::compressions_that_no_library_here_knows_are_named"),
    _line("A12", "TIFF: profile cut, of wrong length, for other colours", "pass",
          "unit/images_decode::a_profile_that_is_broken_or_for_other_colours_is_ignored"),
    _line("A13", "TIFF: 2,000 directories that share entries", "fail",
          "unit/image_bombs::directories_that_share_entries_are_refused"),
    _line("A14", "TIFF: 8 samples of 64 bits", "fail", "unit/image_bombs::samples_count_not_only_pixels"),
    _line("A15", "TIFF: 200 pages, 286 MiB: cost of a page", "fail",
          "unit/originals::a_file_is_read_once_for_all_its_pages"),
    _line("A16", "PNG: interlaced, tRNS, 16 bits with alpha, APNG, junk behind the end", "pass",
          "unit/images_decode::every_kind_of_file_gives_upright_contiguous_pixels "
          "unit/images_decode::one_transparent_colour_of_16_bits_becomes_white "
          "unit/images_pages::an_animation_is_one_page", "interlaced, cICP, unknown critical chunk, short palette"),
    _line("A17", "PNG: CgBI, palette missing", "pass",
          "unit/images_variants::a_png_without_what_it_needs_is_corrupt"),
    _line("A18", "PNG: profile, text and XMP of megabytes", "fail",
          "unit/image_bombs::long_texts_in_a_png_are_no_damage unit/image_bombs::a_large_profile_in_a_png_is_applied"),
    _line("A19", "PNG of extreme shapes, 1 x 1", "pass",
          "unit/restore_auto::tiny_and_narrow_pages unit/quality::any_page_has_figures_in_their_ranges "
          "unit/images_encode::the_hash_takes_any_size", "20,000,000 x 1 through all stages"),
    _line("A20", "16-bit PNG 1,100,000 x 1", "fail",
          "unit/images_variants::a_16_bit_png_that_is_too_wide_for_its_library_is_unsupported"),
    _line("A21", "JPEG: progressive, CMYK, 12 bit, arithmetic, trailing junk", "pass",
          "unit/images_variants::rare_kinds_of_jpeg_are_unsupported unit/images_decode::twelve_bit_jpeg_is_unsupported "
          "unit/images_decode::every_kind_of_file_gives_upright_contiguous_pixels", "DNL, two files in one"),
    _line("A22", "JPEG of 78 KB with 500 scans", "doubtful",
          "unit/images_decode::a_jpeg_with_a_thousand_scans_is_refused"),
    _line("A23", "JPEG 2000: kinds, header that lies about the size", "pass",
          "unit/image_bombs::a_bomb_costs_what_its_header_allows"),
    _line("A24", "WebP, GIF, BMP: animated, alpha, RLE, top-down, short", "pass",
          "unit/images_decode::every_kind_of_file_gives_upright_contiguous_pixels "
          "unit/fuzz_images::damaged_files_are_decoded_or_refused"),
    _line("A25", "PDF: pages of any size", "pass",
          "unit/images_decode::a_large_pdf_page_is_rendered_at_the_resolution_that_fits "
          "unit/images_pages::odd_pages_of_a_pdf_are_drawn_as_viewers_draw_them", "UserUnit"),
    _line("A26", "PDF: scripts, attachments, bombs, loops, 10,000 pages", "pass",
          "unit/pdf_limits::a_file_that_takes_all_memory_is_ended unit/images_pages::too_many_pages",
          "scripts, attachments, page loop"),
    _line("A27", "PDF: passwords", "pass",
          "unit/images_pages::a_password_is_asked_for "
          "unit/images_pages::a_password_of_the_owner_alone_keeps_nobody_from_reading"),
    _line("A28", "PDF of 300,000 rectangles", "pass",
          "unit/pdf_limits::a_file_that_takes_for_ever_is_ended unit/pdf_limits::the_pages_of_a_file_share_a_budget"),
    _line("A29", "formats that are known and not read", "doubtful",
          "unit/images_variants::a_known_format_that_is_not_read_is_named"),
    _line("A30", "45 names in one batch", "doubtful",
          "unit/hostile_trees::every_file_of_a_hostile_tree_has_its_row_and_its_place "
          "unit/names::names_that_differ_are_shown_differently_and_can_be_stored"),
    _line("A31", "pipe, device, symlink, hard link, 340 nested folders, sparse file", "pass",
          "unit/readiness::a_pipe_is_left_behind unit/readiness::links_are_never_followed_and_are_named "
          "unit/security::a_hard_link_is_copied_and_the_other_name_stays "
          "unit/security::folders_deeper_than_a_path_may_be_long_are_taken_in", "sparse file"),
    _line("A32", "folder named like a reason note", "fail",
          "unit/hostile_trees::every_file_of_a_hostile_tree_has_its_row_and_its_place"),
    _line("A33", "folder named like a derived photo", "fail",
          "unit/hostile_trees::every_file_of_a_hostile_tree_has_its_row_and_its_place"),
    _line("A34", "file named like a hashed reason note", "doubtful",
          "unit/hostile_trees::every_file_of_a_hostile_tree_has_its_row_and_its_place "
          "unit/publish::derived_names_do_not_meet_files_of_the_batch"),
    _line("A35", "enhanced file in the cache truncated", "fail",
          "unit/damage::a_damaged_enhanced_image_never_replaces_a_photograph"),
    _line("A36", "bit flips in caches and registers", "fail",
          "unit/tables::every_single_bit_that_changes_is_noticed unit/damage::a_damaged_cache_is_computed_again "
          "unit/register::a_damaged_register_is_named_and_holds_up_its_own_batch_only"),
    _line("A37", "manifest or version truncated, six commands", "fail",
          "unit/damage::commands_name_the_damage_in_one_sentence_and_show_the_rest "
          "unit/damage::a_damaged_manifest_is_made_whole_by_the_next_run "
          "unit/damage::a_damaged_version_is_made_whole_from_the_manifest"),
    _line("A38", "modification time in the future, and a kill", "fail",
          "crash/intake_disturbed::no_clock_makes_a_batch_come_twice "
          "crash/intake_disturbed::a_time_that_the_clock_passes_between_kill_and_repetition_changes_nothing"),
    _line("A39", "replaced between copy and emptying", "fail",
          "crash/intake_disturbed::a_file_that_is_replaced_at_any_moment_is_copied_or_stays"),
    _line("A40", "full, read-only and enlarged roots", "pass",
          "crash/storage_full::the_disk_is_full_at_every_step "
          "crash/storage_full::an_intake_on_a_full_disk_leaves_the_batch_where_it_is", "read-only roots"),
    _line("A41", "3,000 tiny files; two runs at once", "pass",
          "unit/take_in::two_intakes_at_once_take_it_once unit/publish::a_late_loser_changes_nothing", "3,000 files"),
    _line("A42", "stale temporaries in all roots", "fail",
          "unit/take_in::what_killed_writers_left_is_removed_after_a_day"),
    _line("A43", "weights and confidences that are no numbers; damaged production.json", "fail",
          "unit/registry::weights_that_are_no_numbers_are_refused_everywhere "
          "unit/damage::a_confidence_that_is_no_number_is_never_sure "
          "unit/registry::a_damaged_production_file_is_refused"),
    _line("A44", "odd names in enhance, classify, show, JSON", "pass",
          "unit/cli_output::no_message_steers_the_terminal unit/cli_output::json_is_json_and_names_in_it_are_whole"),
    _line("A45", "S3: credentials in URLs, endpoint away", "pass",
          "unit/object_storage::no_secret_is_logged_or_told "
          "unit/object_storage::odd_roots_are_refused_and_not_repeated "
          "unit/object_storage::a_store_that_stays_away_is_one_clear_sentence"),
    _line("A46", "timetable over changes of the clock", "pass",
          "dags/timetable::scheduled_run_and_run_for_its_key_have_one_partition "
          "dags/timetable::backfill_yields_each_day_once_and_its_key_leads_back"),
    _line("A47", "ui: port, files, secrets, without login, hostile parameters", "pass",
          "e2e/installation::listens_on_loopback_only e2e/installation::asks_for_a_login "
          "e2e/installation::secrets_can_be_read_by_their_owner_only e2e/installation::password_is_in_no_log "
          "dags/hostile_params::hostile_values_stop_at_the_form_or_before_anything_is_opened",
          "forged token, cookie with a foreign origin"),
    _line("A48", "folder with _READY and nothing to take", "doubtful",
          "unit/readiness::a_marked_batch_without_a_file_to_take_is_named_and_nobody_waits_for_it"),
)  # fmt: skip

FIELD = (
    _line("B1", "TIFF with XMP, METS and a checksum list", "fail",
          "unit/take_in::what_describes_images_is_kept_beside_them_and_is_no_image "
          "pipeline/delivery::what_is_short_is_taken_on_request_and_every_file_has_its_fate"),
    _line("B2", "BagIt bag, one wrong and one missing file", "fail",
          "unit/fixity::a_bag_that_is_not_what_it_says_waits_and_the_reason_is_told "
          "pipeline/delivery::what_is_short_waits_and_the_run_says_what_is_wrong "
          "pipeline/delivery::what_is_short_is_taken_on_request_and_every_file_has_its_fate"),
    _line("B3", "camera raw: DNG, NEF, IIQ, CR2", "fail",
          "unit/camera_raw::a_raw_is_developed_as_the_sensor_saw_it "
          "unit/camera_raw::every_kind_of_raw_is_given_to_libraw "
          "unit/images_variants::camera_raw_is_told_by_its_content",
          "files of real cameras"),
    _line("B4", "14 encodings with a tail of zeros", "fail",
          "unit/zero_ends::a_zero_filled_end_is_told_with_its_share "
          "unit/zero_ends::a_zero_filled_end_of_coded_pixels_is_found_or_refused "
          "unit/images_decode::a_jpeg_whose_copy_was_filled_up_with_zeros_is_truncated"),
    _line("B5", "@eaDir, #recycle, $RECYCLE.BIN, lost+found", "fail",
          "unit/readiness::folders_of_the_system_are_left_behind_with_all_that_is_in_them"),
    _line("B6", "Icon, ehthumbs.db, Picasa.ini", "fail",
          "unit/names::ignored_names unit/take_in::what_describes_images_is_kept_beside_them_and_is_no_image"),
    _line("B7", "._x.jpg, .DS_Store, Thumbs.db", "pass",
          "unit/readiness::ignored_names_neither_come_in_nor_block unit/names::ignored_names"),
    _line("B8", "11 temporary names", "fail",
          "unit/readiness::an_unfinished_upload_holds_its_batch_back_while_it_changes"),
    _line("B9", "rsync's temporary file that grows longer than the quiet time", "fail",
          "unit/readiness::an_unfinished_upload_holds_its_batch_back_while_it_changes"),
    _line("B10", "_READY.txt, _ready", "fail",
          "unit/readiness::the_marker_is_known_in_any_case_and_as_editors_write_it"),
    _line("B11", "file dated four years ahead", "pass",
          "unit/readiness::a_wrong_clock_in_the_future_does_not_block_forever"),
    _line("B12", "negative modification time", "pass", "unit/readiness::wrong_clocks_change_nothing"),
    _line("B13", "folder with _READY and nothing else, empty folder", "doubtful",
          "unit/readiness::a_marked_batch_without_a_file_to_take_is_named_and_nobody_waits_for_it "
          "unit/readiness::empty_folders_are_nothing"),
    _line("B14", "twins in NFC and NFD, emoji, markup, 255 bytes, case", "pass",
          "unit/take_in::odd_names_keep_their_path unit/report::hostile_names_are_shown_and_do_nothing"),
    _line("B15", "Latin-1 bytes, backslash, newline in names", "doubtful",
          "unit/take_in::refused_names_have_a_row_and_their_bytes_are_kept unit/names::a_refusal_escapes_once"),
    _line("B16", "204 x 98 and 300 x 150 dpi", "fail",
          "unit/resolution::both_resolutions_are_kept_and_the_page_is_square "
          "unit/resolution::an_enhanced_copy_is_as_large_as_the_page"),
    _line("B17", "linear 16 bits with a profile", "fail",
          "unit/images_decode::profiles_of_16_bit_pictures_are_converted "
          "unit/deep_colours::the_shadows_of_a_dark_linear_photograph_are_kept"),
    _line("B18", "profiles with gamma 1.8", "pass",
          "unit/images_decode::other_profiles_than_srgb_are_converted unit/images_decode::a_grey_profile_is_converted"),
    _line("B19", "JP2 of six encoders", "pass", "", "all: the files are those of a corpus"),
    _line("B20", "damaged JP2 of a corpus", "pass",
          "unit/images_decode::a_file_that_ends_early_is_an_error_never_half_a_picture "
          "unit/fuzz_images::damaged_files_are_decoded_or_refused"),
    _line("B21", "JPX of Photoshop's plug-in", "fail", "unit/jpx::jpx_is_read", "the files of the corpus"),
    _line("B22", "old-style JPEG in TIFF", "pass", "unit/old_jpeg_tiff::it_is_read"),
    _line("B23", "grey old-style JPEG, drawn by hand", "doubtful",
          "unit/old_jpeg_tiff::it_is_read unit/old_jpeg_tiff::a_stream_of_greys_that_is_cut_short_is_damaged"),
    _line("B24", "RGB with infrared, declared", "pass",
          "unit/images_decode::an_unspecified_extra_sample_is_not_transparency"),
    _line("B25", "the same, not declared", "doubtful",
          "unit/images_variants::infrared_that_is_not_declared_is_no_transparency"),
    _line("B26", "image, thumbnail and infrared page in one file", "pass",
          "unit/images_pages::thumbnails_and_masks_in_a_tiff_are_no_pages", "the infrared page"),
    _line("B27", "pyramid without subfile type", "doubtful",
          "unit/images_variants::smaller_levels_of_a_pyramid_are_no_pages"),
    _line("B28", "thumbnail marked by a SHORT in a big-endian file", "doubtful",
          "unit/images_variants::thumbnails_do_not_count_where_pages_are_decoded"),
    _line("B29", "garbage as pointer to the next directory", "doubtful",
          "unit/images_pages::a_chain_of_pages_that_leaves_the_file_is_truncated"),
    _line("B30", "no photometric tag", "doubtful",
          "unit/images_variants::a_missing_photometric_tag_is_answered_as_libtiff_does"),
    _line("B31", "half-float TIFF", "fail", "unit/images_variants::half_floats_are_read"),
    _line("B32", "G4 white or black is zero, 8 and 16 bit, packed 12 bit", "pass",
          "unit/images_decode::fax_pages_are_black_on_white "
          "unit/images_decode::white_is_zero_is_inverted_at_every_depth"),
    _line("B33", "planar, CMYK with spot, premultiplied, orientations, zstd, LZMA", "pass",
          "unit/images_decode::pixels_are_exact unit/images_decode::premultiplied_alpha_is_laid_on_white "
          "unit/images_decode::orientation_is_applied_exactly_once"),
    _line("B34", "alpha that nobody filled", "fail",
          "unit/images_variants::an_alpha_channel_that_nobody_filled_hides_nothing"),
    _line("B35", "JPEG without an end, with a trailer", "doubtful",
          "unit/images_decode::a_file_that_ends_early_is_an_error_never_half_a_picture", "the trailer"),
    _line("B36", "MPO, PNG named .jpg, trailing garbage, units of resolution", "pass",
          "unit/images_pages::the_format_comes_from_the_content unit/images_decode::the_resolution_is_read "
          "unit/images_decode::resolution_in_centimetres "
          "unit/images_variants::of_a_jpeg_with_several_pictures_the_first_is_read"),
    _line("B37", "CMYK JPEG with and without Adobe's marker", "pass",
          "unit/images_decode::pure_inks_come_out_in_their_colours_with_and_without_profile"),
    _line("B38", "PDF with an owner password alone", "pass",
          "unit/images_pages::a_password_of_the_owner_alone_keeps_nobody_from_reading"),
    _line("B39", "PDF with a user password", "pass", "unit/images_pages::a_password_is_asked_for"),
    _line("B40", "PDF: rotated, cropped, tail of zeros, BOM before", "pass",
          "unit/images_decode::a_pdf_page_is_rendered_on_white_at_the_resolution_asked_for "
          "unit/images_pages::odd_pages_of_a_pdf_are_drawn_as_viewers_draw_them"),
    _line("B41", "PDF with mail text behind its end; UserUnit", "doubtful",
          "unit/pdf_limits::what_mail_programs_append_is_left_out", "UserUnit"),
    _line("B42", "white, aged and black blank pages", "doubtful",
          "unit/quality::empty_pages_are_neither_blurred_nor_noisy "
          "unit/page_flags::an_empty_page_is_blank_and_nothing_else "
          "unit/page_flags::an_empty_page_lies_in_a_bucket_of_its_own_has_no_caption_and_keeps_its_class"),
    _line("B43", "several photographs in one scan", "lacks",
          "unit/page_flags::photographs_on_a_sheet_have_their_boxes unit/page_flags::photographs_that_overlap_are_told",
          "a caption for each"),
    _line("B44", "book spread, skewed page, stamps, map, handwriting", "doubtful",
          "unit/page_flags::a_crooked_page_has_its_degrees_in_its_row_and_a_reason",
          "classes of spreads, stamps, maps and handwriting"),
    _line("B45", "negatives", "lacks",
          "unit/page_flags::negatives_are_told_by_their_film", "black and white film, microfilm"),
    _line("B46", "colour halftones", "fail",
          "unit/restore_auto::printing_screens_are_left_alone unit/restore_gate::dots_of_a_print_are_not_changed"),
    _line("B46b", "grey halftones, engraving, film grain", "pass",
          "unit/restore_auto::dots_without_angles_and_threads_are_left_alone "
          "unit/restore_auto::drawn_and_typeset_pages_are_left_alone"),
    _line("B47", "images of odd shapes", "pass",
          "unit/restore_auto::tiny_and_narrow_pages unit/quality::any_page_has_figures_in_their_ranges"),
    _line("B48", "A0 at 300 dpi, 1 bit", "doubtful", "unit/images_decode::too_many_pixels_are_refused"),
    _line("B49", "timetable over changes of the clock; ranges of backfills", "pass",
          "dags/timetable::scheduled_run_and_run_for_its_key_have_one_partition "
          "dags/timetable::backfill_includes_both_days_of_its_bounds"),
    _line("B50", "DuckDB and pandas on the manifests", "pass",
          "unit/publish::pandas_and_duckdb_read_the_folder_as_it_is", "polars"),
    _line("B51", "a lake with manifests of several versions", "doubtful",
          "unit/earlier_releases::a_lake_of_two_versions_is_read_without_losing_a_column"),
    _line("B52", "TSV with BOM, UTF-16, CRLF", "fail", "unit/caption_data::tables_are_read_as_spreadsheets_write_them"),
    _line("B53", "COCO: missing images, several ids, repeated entries", "pass",
          "unit/caption_data::what_is_wrong_with_a_coco_file_is_said "
          "unit/caption_data::an_image_that_is_listed_but_not_there_is_named"),
    _line("B54", "COCO with TIFF and JP2", "fail", "unit/caption_data::coco_images_of_every_kind_are_found_below"),
    _line("B55", "caption null; blank split", "fail",
          "unit/caption_data::a_coco_caption_that_is_no_text_is_refused_with_its_image "
          "unit/caption_data::a_split_that_lacks_in_one_line_is_refused_with_the_line"),
    _line("B56", "captions in NFD, Indic scripts, Thai, Arabic", "fail",
          "unit/vocabulary::marks_are_part_of_words_and_letters_are_composed"),
    _line("B57", "truncated pictures in train and test", "fail",
          "unit/retrain::prepare_names_every_damaged_picture_of_every_split "
          "unit/retrain::prepare_names_a_damaged_captioned_picture_that_only_the_test_split_has"),
    _line("B58", "tables that spell names otherwise than the disk", "doubtful",
          "unit/caption_data::a_missing_image_is_named", "the near name"),
    _line("B59", "EXIF copyright, date and number in the improved file", "lacks",
          "unit/metadata::exiftool_reads_what_the_original_said "
          "unit/described::enhanced_photographs_keep_what_the_file_said"),
)  # fmt: skip

CASES = (*FAULTS, *FIELD)
ALL_NODES = frozenset(node for case in CASES for node in case.nodes)


def main(arguments: Sequence[str]) -> int:
    """Print every line with its verdicts; return 1 if a test of one fails, else 0."""
    outcomes = {} if "--list" in arguments else _run()
    failed = 0
    for case in CASES:
        now = _verdict(case, outcomes) if outcomes else "not run"
        failed += now == "fail"
        print(f"{case.number:5} {case.before:9} {now if case.tests else 'no test':8} {case.what}")
        for node in case.nodes:
            print(f"{'':24} {node}")
        if case.gap:
            print(f"{'':24} no test: {case.gap}")
    whole = sum(bool(case.tests) and not case.gap for case in CASES)
    partly = sum(bool(case.tests) and bool(case.gap) for case in CASES)
    without = len(CASES) - whole - partly
    print(f"{len(CASES)} lines: {whole} with tests, {partly} with tests for a part, {without} without.")
    return 1 if failed else 0


def _verdict(case: Case, outcomes: Mapping[str, bool]) -> str:
    """What the tests of a line came to; one that was skipped or left out says nothing."""
    found = [outcomes[node] for node in case.nodes if node in outcomes]
    if not all(found):
        return "fail"
    return "pass" if len(found) == len(case.nodes) else "not run"


def _run() -> dict[str, bool]:
    """Run the tests of all lines; return whether each passed, with all its parameters, by node without parameters."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *sorted(ALL_NODES)]
        subprocess.run(command, cwd=REPOSITORY, check=False)
        outcomes: dict[str, bool] = {}
        for test in ElementTree.parse(report).iter("testcase"):
            if test.find("skipped") is None:
                file = test.attrib["classname"].replace(".", "/") + ".py"
                node = f"{file}::{test.attrib['name'].partition('[')[0]}"
                passed = test.find("failure") is None and test.find("error") is None
                outcomes[node] = outcomes.get(node, True) and passed
    return outcomes


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
